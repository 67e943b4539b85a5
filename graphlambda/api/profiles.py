"""What earlier runs measured, kept as one note of the cache for each deployment.

In: a configuration, a run's profiler. Out: by what to fuse. Bounded: what was of use longest ago goes first. A note
that cannot be read is said so and written anew.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.measured import Fusing, Profile
from graphlambda.edge import warn
from graphlambda.errors import ProfileWarning
from graphlambda.packager.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.compiler import Program
    from graphlambda.config import Config
    from graphlambda.report import Profiler

_KIND = "profiles"
_VERSION = 2
_MOST_FORMS = 2_000
"""About 200 kB, which are read in 2 ms."""


@dataclass(frozen=True, slots=True)
class _Note:
    profiles: dict[str, Profile]
    """By form; what was of use last stands last."""

    overhead_s: float
    at_once: int
    """How many invocations ran at the same time, at most; 0 where nothing ran."""


_NOTHING = _Note({}, 0.0, 0)


def fusing_of(config: Config) -> Fusing:
    """Return how the configuration wants programs fused."""
    if config.fuse is not None:
        return Fusing(always=config.fuse)
    note = _known(config)
    return Fusing(
        profiles=note.profiles,
        overhead_s=note.overhead_s,
        longest_s=config.timeout_s / 2,
        at_once=note.at_once,
    )


def measured(config: Config) -> tuple[Mapping[str, Profile], float]:
    """Return what is known of operations, by form, and what an invocation takes beside its tasks; 0 where nothing is."""
    note = _known(config)
    return note.profiles, note.overhead_s


def learn(profiler: Profiler, program: Program, config: Config, at_once: int) -> None:
    """Keep what a run of a program measured, what it was fused by, and how many invocations ran at the same time."""
    if config.fuse is False:
        return
    profiles, overhead_s = profiler.profiles(), profiler.overhead_s()
    parts = {form for fusion in program.fusions for form in fusion.forms}

    def altered(content: bytes | None) -> bytes:
        note = _note(content, config)
        known = {form: each for form, each in note.profiles.items() if form not in parts | profiles.keys()}
        known |= {form: each for form, each in note.profiles.items() if form in parts - profiles.keys()}
        known |= {form: _mixed(note.profiles.get(form), profile) for form, profile in profiles.items()}
        newest = {form: known[form] for form in list(known)[-_MOST_FORMS:]}
        return _written(_Note(newest, note.overhead_s if overhead_s is None else overhead_s, at_once))

    Cache(config.cache_dir).alter(_KIND, config.deployment_id, altered)


def _known(config: Config) -> _Note:
    return _note(Cache(config.cache_dir).get(_KIND, config.deployment_id), config)


def _written(note: _Note) -> bytes:
    profiles = {form: astuple(profile) for form, profile in note.profiles.items()}
    content = {
        "version": _VERSION,
        "overhead_s": note.overhead_s,
        "at_once": note.at_once,
        "profiles": profiles,
    }
    return json.dumps(content).encode()


def _note(content: bytes | None, config: Config) -> _Note:
    if content is None:
        return _NOTHING
    try:
        return _parsed(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        path = Cache(config.cache_dir).path(_KIND, config.deployment_id)
        what = f"{path} cannot be read ({type(error).__name__}: {error}): nothing is fused until runs are measured again"
        warn(what, ProfileWarning)
        return _NOTHING


def _parsed(content: Any) -> _Note:
    if content["version"] != _VERSION:
        raise ValueError(f"version {content['version']} instead of {_VERSION}")
    profiles = {str(form): Profile(*map(float, fields)) for form, fields in content["profiles"].items()}
    if any(profile.batch <= 0 for profile in profiles.values()):
        raise ValueError("a batch of no tasks")
    return _Note(profiles, float(content["overhead_s"]), int(content["at_once"]))


def _mixed(before: Profile | None, now: Profile) -> Profile:
    """Return what is to be expected after both."""
    if before is None:
        return now
    as_many = min(before.count, now.count)  # it may have changed, or have been of other sizes
    old = as_many / (as_many + now.count)

    def mean(one: float, other: float) -> float:
        return old * one + (1 - old) * other

    return replace(
        now,
        seconds=mean(before.seconds, now.seconds),
        p95_s=mean(before.p95_s, now.p95_s),
        value_bytes=mean(before.value_bytes, now.value_bytes),
        batch=mean(before.batch, now.batch),
        reading_s=mean(before.reading_s, now.reading_s),
        sending_s=mean(before.sending_s, now.sending_s),
        count=before.count + now.count,
    )
