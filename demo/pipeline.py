"""The noun of the demo. Apart from `show`, so that what a pipeline ships does not lead to graphlambda itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One collection, and how to speak of it."""

    title: str
    about: str
    """What goes in and what is done with it, in a sentence or two."""

    collection: Any
    text: Callable[[Any], str]
    """From the result to what a person reads."""

    same: Callable[[Any, Any], bool]
    """Whether our result is Dask's."""
