"""State that must not be shared by the copies of a process: after a fork, and after AWS restored a snapshot.

In: nothing. Out: generators that draw numbers of their own. Must not import what the process does not use.
Whatever asks the operating system each time is fresh by itself: `os.urandom`, `secrets`, `uuid4`, `default_rng()`.
"""

from __future__ import annotations

import sys


def afresh() -> None:
    """Seed the generators that this process shares with others of its making from the operating system."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()
