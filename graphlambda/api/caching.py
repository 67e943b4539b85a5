"""What a session's cache folder holds, and less of it on request: packages and the local Lambda's functions.

In: a configuration. Out: sums by kind. All of it can be made again; a store's values are not the cache's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.errors import PackageError
from graphlambda.local import upkeep
from graphlambda.packager.cache import Cache
from graphlambda.packager.measure import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.config import Config

FUNCTIONS = "local Lambda"
"""The kind that stands for the local Lambda's functions and layers."""


def cached(config: Config) -> Mapping[str, Usage]:
    """Return how many entries of each kind there are, and what they take."""
    return {**Cache(config.cache_dir).usage(), FUNCTIONS: Usage(*upkeep.usage(config.cache_dir / "local"))}


def trim(config: Config, most_bytes: int) -> int:
    """Remove what was used least recently until `most_bytes` are left, half of each; return how many went.

    Raises:
        PackageError: a build or a local Lambda uses the cache.
    """
    before = sum(kind.size_bytes for kind in cached(config).values())
    if not upkeep.trim(config.cache_dir / "local", most_bytes // 2):
        raise PackageError(
            f"A local Lambda uses the functions in {config.cache_dir / 'local'}. Try again when its session has ended."
        )
    Cache(config.cache_dir).trim(most_bytes // 2)
    return before - sum(kind.size_bytes for kind in cached(config).values())


def clear(config: Config) -> int:
    """Remove everything that can be made again; return how many bytes went.

    Raises:
        PackageError: a build or a local Lambda uses the cache.
    """
    return trim(config, -1)  # below nothing: empty entries go, too
