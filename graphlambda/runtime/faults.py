"""What can go wrong in the runtime itself, each as a kind of the wire's error.

In: nothing. Out: exceptions that a function reports as outcomes. The client translates the ones that it
meets itself into `graphlambda.errors`, once, where it calls the runtime.
"""

from __future__ import annotations


class FaultError(Exception):
    """The runtime cannot do what a task needs; never raised by a user's code."""

    kind = "user"
    """The `kind` of the outcome's error; see `wire`."""


class FrameError(FaultError):
    """A frame is damaged, or was signed with another key or for another run or name."""

    kind = "authentication"


class UnshippableValueError(FaultError):
    """A value cannot travel: neither pickle nor cloudpickle takes it."""

    kind = "unshippable"


class ValueStoreError(FaultError):
    """The store is unavailable, or does not hold a value; names the value."""

    kind = "store"


class UnpackingError(FaultError):
    """The function's distributions cannot be unpacked: no room, or a damaged archive."""

    kind = "unpacking"
