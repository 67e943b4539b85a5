"""What can go wrong in the runtime itself, each as a kind of the wire's error.

In: nothing. Out: exceptions that a function reports as outcomes. The client translates the ones that it
meets itself into `graphlambda.errors`, once, where it calls the runtime.
"""

from __future__ import annotations


class FaultError(Exception):
    """The runtime cannot do what a task needs; never raised by a user's code."""

    kind = "user"
    """The `kind` of the outcome's error; see `wire`."""

    def told(self) -> dict[str, str]:
        """Return what the outcome's error says beside kind, type and message."""
        return {}


class FrameError(FaultError):
    """A frame is damaged, or was signed with another key or for another run or name."""

    kind = "authentication"


class DamagedValueError(FrameError):
    """A value's frame is not what it claims to be, not even when it is read again."""

    kind = "damaged"

    def __init__(self, message: str, run: str, name: str) -> None:
        super().__init__(message)
        self.run = run
        self.name = name

    def told(self) -> dict[str, str]:
        """Return which value it is."""
        return {"run": self.run, "name": self.name}


class UnshippableValueError(FaultError):
    """A value cannot travel: neither pickle nor cloudpickle takes it."""

    kind = "unshippable"


class ValueStoreError(FaultError):
    """The store is unavailable; names the value that it was about."""

    kind = "store"


class LostValueError(ValueStoreError):
    """The store does not hold a value, or no longer: it was evicted, dropped, or lost with its server."""

    kind = "lost"

    def __init__(self, message: str, run: str, name: str) -> None:
        super().__init__(message)
        self.run = run
        self.name = name

    def told(self) -> dict[str, str]:
        """Return which value it is."""
        return {"run": self.run, "name": self.name}


class SecretError(FaultError):
    """A secret that the function was to have cannot be read; the message says which, and never a value."""

    kind = "secret"


class UnpackingError(FaultError):
    """The function's distributions cannot be unpacked: no room, or a damaged archive."""

    kind = "unpacking"
