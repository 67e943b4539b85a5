"""Who makes functions while a run goes on; the scheduler itself never deploys.

In: an operation and the function that was not enough, or is gone. Out: the name of one that will do. `api` gives one that
deploys; without the right to create functions there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Provisioner(Protocol):
    """Makes twins of functions."""

    async def adopt(self, functions: Mapping[str, str]) -> Mapping[str, str]:
        """Take over the twins, by operation id, that an earlier client of the run made; return those that exist."""

    async def larger(self, operation: str, function: str) -> str | None:
        """Return a function of the same operation with more memory; None where there can be none."""

    async def with_module(self, operation: str, function: str, module: str) -> str | None:
        """Return a function of the same operation that holds a module; None where no distribution has it."""

    async def afresh(self, operation: str, function: str) -> str | None:
        """Return a function like one that was deleted, made again unless it is there after all; None where there can be none."""


class NoProvisioner:
    """Makes nothing: what is deployed has to do."""

    async def adopt(self, functions: Mapping[str, str]) -> Mapping[str, str]:
        """Take them all over."""
        return functions

    async def larger(self, operation: str, function: str) -> str | None:  # noqa: ARG002  (the protocol's)
        """There is none."""
        return None

    async def with_module(self, operation: str, function: str, module: str) -> str | None:  # noqa: ARG002
        """There is none."""
        return None

    async def afresh(self, operation: str, function: str) -> str | None:  # noqa: ARG002
        """There is none."""
        return None
