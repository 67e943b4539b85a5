"""What a session leaves in a run's folder so that another can go on with the run, and what it finds there.

In: a configuration, a run. Out: a `Durable` for the scheduler, what was saved, the runs that wait. Must not run anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from graphlambda.api.account import root_of, settled
from graphlambda.config import AWS, FILE, VALKEY, Config, tiers
from graphlambda.errors import AuthenticationError, NoSuchRunError, StoreError
from graphlambda.scheduler import Durable
from graphlambda.scheduler.keeper import PROGRAM, journal, patience_s, saved
from graphlambda.scheduler.replay import done_in, replaced_in
from graphlambda.store.claims import LEASE, canceller, holder, refuse_cancelled, take, this_client
from graphlambda.store.folders import DiskFolders
from graphlambda.store.keys import derive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.compiler import Program
    from graphlambda.store.folders import Folder, Folders

RESUMABLE_S = 86_400.0
"""How long a folder waits for whoever goes on with its run."""

_TERMS = "functions"
_OF_THE_CLIENT = frozenset({"cache_dir", "state_dir", "progress"})
"""Settings that are a client's own; all others stay with the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was saved of a run beside its program."""

    functions: Mapping[str, str]
    """By operation id, for whoever looks into the folder: whoever resumes has them deployed again, which makes none."""

    flags: Mapping[str, Any]
    """The settings, as keywords."""

    state: Mapping[str, Any]
    """Process state that functions are given."""

    tasks: int
    started_s: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRun:
    """A run that somebody can go on with, or goes on with now."""

    id: str
    started_s: float
    """Seconds since the epoch; of one that cannot be read, when its folder last changed."""

    done: int
    """Committed tasks."""

    tasks: int
    holder: str
    """The client that goes on with it; empty where nobody does."""

    canceller: str
    """Who cancelled it, where it has not ended yet; else empty."""

    unreadable: str = ""
    """Why nobody here can go on with it (it is damaged, or of another root key); else empty, and the rest is known."""

    @property
    def state(self) -> str:
        """Return `running`, `waiting` (for `resume`), `cancelled` (its client ends it, or `cancel` again) or `unreadable`."""
        if self.unreadable:
            return "unreadable"
        return "cancelled" if self.canceller else "running" if self.holder else "waiting"


def folders_of(config: Config) -> Folders:
    """Return the folders of this user's runs: on disk, or in the bucket where their values lie."""
    _, bucket = tiers(settled(config).store)
    if not bucket:
        return DiskFolders(config.state_dir / "runs")
    from graphlambda.api.buckets import bucket_folders  # noqa: PLC0415  (boto3, for who uses S3)

    return bucket_folders(bucket, settled(config))


def folder_of(run: str, config: Config) -> Folder:
    """Return a run's folder, which need not be there.

    Raises:
        NoSuchRunError: no run has such a name.
    """
    try:
        return folders_of(config).of(run)
    except ValueError:
        raise NoSuchRunError(run) from None


def kept_note(run: str, config: Config) -> str:
    """Return how to go on with a run that ended, if something is known to be there of it; else nothing."""
    try:
        if not folder_of(run, config).names():
            return ""
    except StoreError:
        return ""
    place = (
        ", endpoint='aws'" if config.endpoint == AWS else ", store=…" if _is_elsewhere(config.store) else ""
    )
    return f"graphlambda.resume({run!r}{place}) goes on with what is done, for a day, and with the same code"


def flags_of(config: Config) -> dict[str, Any]:
    """Return a run's settings as keywords; what names a server or a bucket is given by whoever resumes."""
    left_out = _OF_THE_CLIENT | ({"store"} if _is_elsewhere(config.store) else set())
    return {each.name: getattr(config, each.name) for each in fields(Config) if each.name not in left_out}


def _is_elsewhere(store: str) -> bool:
    """Whether values lie in a server or a bucket, which is never saved: its URL may hold a password."""
    return store not in {FILE, VALKEY}


def durable(run: str, program: Program, terms: Saved, config: Config) -> Durable:
    """Return what makes a new run durable."""
    return Durable(
        folder=folder_of(run, config),
        key=_key(config, run),
        saved={PROGRAM: program, _TERMS: terms},
        begin_after_s=patience_s(program),
    )


def claimed(first: Durable, *, attempts_last_s: float) -> Durable:
    """Return what goes on with a run; what its last client sent may run for so long after that client's death.

    Raises:
        RunHeldError, NoSuchRunError, RunCancelledError: nobody can go on with it now.
    """
    if first.folder.read(LEASE) is None:
        raise NoSuchRunError(first.folder.run)
    refuse_cancelled(first.folder)
    claim = take(first.folder, this_client())
    return replace(first, claim=claim, attempts_over_s=claim.before_s + attempts_last_s)


def read(run: str, config: Config) -> tuple[Program, Saved]:
    """Return what was saved of a run.

    Raises:
        NoSuchRunError: there is nothing.
        AuthenticationError: it is damaged, or was saved with another root key.
    """
    return saved(folder_of(run, config), PROGRAM, _key(config, run)), terms_of(run, config)


def terms_of(run: str, config: Config) -> Saved:
    """Return what was saved of a run beside its program; raises as `read` does."""
    terms: Saved = saved(folder_of(run, config), _TERMS, _key(config, run))
    return terms


def functions_of(run: str, config: Config) -> set[str]:
    """Return the functions that a run may invoke, those included that took the place of others; raises as `read` does."""
    records = journal(folder_of(run, config), _key(config, run))
    return {*terms_of(run, config).functions.values(), *replaced_in(records)}


def waiting(config: Config) -> list[WaitingRun]:
    """Return the runs that have a folder, the latest first; a folder that cannot be read hides no other."""
    folders = folders_of(config)
    found = [_waiting(folders.of(run), time.time() - age_s, config) for run, age_s in folders.runs().items()]
    return sorted((each for each in found if each), key=lambda each: -each.started_s)


def _waiting(folder: Folder, changed_s: float, config: Config) -> WaitingRun | None:
    try:
        return _read_waiting(folder, config)
    except NoSuchRunError:  # it ended meanwhile, or is about to begin
        return None
    except (AuthenticationError, StoreError) as error:
        return WaitingRun(
            id=folder.run,
            started_s=changed_s,
            done=0,
            tasks=0,
            holder="",
            canceller="",
            unreadable=str(error),
        )


def _read_waiting(folder: Folder, config: Config) -> WaitingRun:
    terms = terms_of(folder.run, config)
    return WaitingRun(
        id=folder.run,
        started_s=terms.started_s,
        done=len(done_in(journal(folder, _key(config, folder.run)))),
        tasks=terms.tasks,
        holder=str(holder(folder) or ""),
        canceller=canceller(folder),
    )


def _key(config: Config, run: str) -> bytes:
    return derive(root_of(config), f"folder of {run}")  # no run's own: ids have no spaces
