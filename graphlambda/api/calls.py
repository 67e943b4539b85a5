"""What a user calls. Each is Dask's verb where Dask has one.

In: collections and settings as keyword arguments (see `config.Config`). Out: what Dask would give.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from graphlambda import config as settings
from graphlambda.api import building, cancelling, durability, work
from graphlambda.api.given import given_to, tell_of_patterns
from graphlambda.api.handles import RunHandle
from graphlambda.api.leaving import leave, refuse_secrets
from graphlambda.api.pricing import estimated
from graphlambda.api.profiles import fusing_of
from graphlambda.api.program import Program
from graphlambda.api.session import Session, session_of
from graphlambda.api.told import progress_of, tell_of_size
from graphlambda.compiler import called_operations, compile_collections, compile_graph, kept_modules
from graphlambda.compiler import program as compiled
from graphlambda.compiler.read import callbacks_told, collections_in, meta_of, rebuilt, register
from graphlambda.edge import edge
from graphlambda.report import close
from graphlambda.runtime.frame import decode
from graphlambda.runtime.wire import context, value_name
from graphlambda.store.leases import Lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphlambda.api.durability import WaitingRun
    from graphlambda.api.handles import Begun
    from graphlambda.compiler.program import Kept
    from graphlambda.deployer import Deployment, Plan
    from graphlambda.report import Display, Summary
    from graphlambda.report.estimate import Estimate

_last: list[Summary] = []


@edge
def compute(*args: Any, traverse: bool = True, optimize_graph: bool = True, **flags: Any) -> tuple[Any, ...]:
    """Compute collections on functions; `dask.compute`'s contract, settings as keyword arguments.

    Raises:
        RefusedError: the graph asks for what could not be right on Lambda; nothing ran.
        PackageError, DeployError: a function cannot be made.
        RunError: the run did not end; a task's own exception comes as itself.
    """
    config = settings.load(flags)
    program = compile_collections(
        *args, traverse=traverse, optimize_graph=optimize_graph, fusing=fusing_of(config)
    )
    return tuple(program.finish(_values(program, _session(program, config))))


@edge
def get(dsk: Any, keys: Any, callbacks: Any = None, **kwargs: Any) -> Any:
    """Compute keys of a graph or expression: what Dask asks of a scheduler.

    Settings among `kwargs` are ours; others (`num_workers`, …) are for other schedulers and change nothing.
    """
    known = {field.name for field in fields(settings.Config)}
    config = settings.load({name: value for name, value in kwargs.items() if name in known})
    program = compile_graph(dsk, keys, fusing=fusing_of(config))
    return program.finish(_values(program, _session(program, config), graph=dsk, callbacks=callbacks))


@edge
def persist(*args: Any, traverse: bool = True, optimize_graph: bool = True, **flags: Any) -> tuple[Any, ...]:
    """Compute collections and leave their values in the store, for as long as the returned ones live."""
    collections, repack = collections_in(args, traverse=traverse)
    return tuple(repack(_persisted(collections, optimize_graph=optimize_graph, **flags)))


@edge
def compile(  # noqa: A001  (the verb's name)
    *args: Any, traverse: bool = True, optimize_graph: bool = True, **flags: Any
) -> Program:
    """Return the program of collections: its operations, tasks and requirements. Nothing is built or run.

    Raises:
        RefusedError: the graph asks for what could not be right on Lambda.
    """
    config = settings.load(flags)
    program = compile_collections(
        *args, traverse=traverse, optimize_graph=optimize_graph, fusing=fusing_of(config)
    )
    refuse_secrets(program, config)
    return Program.of(building.with_requirements(program, config))


@edge
def deploy(program: compiled.Program, **flags: Any) -> Deployment:
    """Make the functions of a program exist; doing so again changes nothing.

    Raises:
        PackageError, DeployError: a function cannot be made.
    """
    return deploy_by(program, settings.load(flags))


def deploy_by(program: compiled.Program, config: settings.Config) -> Deployment:
    """Deploy as a configuration says; raises as `deploy` does."""
    session = _session(program, config)
    with work.display_of(session) as display:
        return _deployed(program, session, display)


@edge
def plan(program: compiled.Program, **flags: Any) -> Plan:
    """Return what `deploy` would do; `print` it. What is not in the cache is built; nothing is made or changed.

    Raises:
        PackageError, DeployError: as `deploy`.
    """
    return plan_by(program, settings.load(flags))


def plan_by(program: compiled.Program, config: settings.Config) -> Plan:
    """Plan as a configuration says; raises as `deploy` does."""
    session = _session(program, config)
    return building.plan_of(called_operations(program), session, given_to(program, session.config))


@edge
def estimate(program: compiled.Program, **flags: Any) -> Estimate:
    """Return what a run of a program is expected to be billed on AWS, before anything is built, deployed or run; `print` it.

    It stands on what earlier runs measured of the same operations, else on assumptions, which it names.
    """
    return estimated(program, settings.load(flags))


@edge
def run(program: compiled.Program, deployment: Deployment, **flags: Any) -> tuple[Any, ...]:
    """Run a program on its functions and return what `compute` of its collections would.

    Raises:
        RunError: the run did not end; a task's own exception comes as itself.
    """
    session = _session(program, settings.load(flags))
    return tuple(program.finish(_values(program, session, deployment)))


@edge
def submit(*args: Any, traverse: bool = True, optimize_graph: bool = True, **flags: Any) -> RunHandle:
    """Compute collections in the background; the handle's `result` is what `compute` would return.

    Raises:
        RefusedError: the graph asks for what could not be right on Lambda. Whatever comes later, `result` raises.
    """
    config = settings.load(flags)
    program = compile_collections(
        *args, traverse=traverse, optimize_graph=optimize_graph, fusing=fusing_of(config)
    )
    leave(program, config)
    run = work.Terms().run

    def working(begun: Begun) -> tuple[Any, ...]:
        terms = work.Terms(run=run, begun=begun)
        return tuple(program.finish(_values(program, session_of(config), terms=terms)))

    return RunHandle(run, working)


@edge
def resume(run: str, **flags: Any) -> tuple[Any, ...]:
    """Go on with a run whose client died, or that failed; return what its `compute` would have, persisted or not.

    What is committed does not run again. The run's settings hold, but for those given here.

    Raises:
        NoSuchRunError: there is nothing of it to go on with.
        RunHeldError: another client goes on with it.
        AuthenticationError: what lies in its folder is damaged, or was written with another root key.
    """
    program, saved = durability.read(run, settings.load(flags))
    session = _session(program, settings.load({**saved.flags, **flags}))
    return tuple(program.finish(_values(program, session, terms=work.Terms(run=run, resumed=saved))))


@edge
def cancel(run: str, **flags: Any) -> None:
    """End a run of any client, on any machine, as its Ctrl-C would; return when it has ended, in some seconds.

    Its client raises RunCancelledError, which says who cancelled. Where that client is dead, its store is emptied here.

    Raises:
        NoSuchRunError: there is nothing of it: it has ended, or had not begun to be kept.
        RunHeldError: its client lives and has not ended it within 30 s; it still will.
        StoreError: its folder or, where its client is dead, its store is out of reach.
    """
    cancelling.end(run, flags)


@edge
def runs(**flags: Any) -> list[WaitingRun]:
    """Return the runs that can be gone on with, the latest first, and those that somebody goes on with now."""
    return durability.waiting(settings.load(flags))


def last_summary() -> Summary | None:
    """Return the numbers of this process's latest run; None before the first."""
    return _last[-1] if _last else None


def _session(program: compiled.Program, config: settings.Config) -> Session:
    """Return where a program is about to be deployed or run. Raises RefusedError if it holds a secret and leaves."""
    leave(program, config)
    return session_of(config)


def _values(
    program: compiled.Program,
    session: Session,
    deployment: Deployment | None = None,
    *,
    terms: work.Terms | None = None,
    graph: Any = None,
    callbacks: Any = None,
) -> list[Any]:
    """Deploy unless that is done, run, report, and tell Dask's callbacks; return the outputs, nested."""
    terms = terms or work.Terms()
    if not program.outputs:
        return []
    if not terms.keep:
        tell_of_size(program)
    with (
        callbacks_told(graph, program.key, program.task_count, callbacks) as told,
        work.display_of(session) as display,
    ):
        deployment = deployment or _deployed(program, session, display)
        if told:
            terms = replace(terms, told=(progress_of(told),))
        done = work.ran(program, deployment, session, display, terms)
    _report(done.summary, session)
    return done.values


def _deployed(program: compiled.Program, session: Session, display: Display) -> Deployment:
    given = given_to(program, session.config)
    tell_of_patterns(program, session.config)
    return building.functions_of(called_operations(program), session, given, display.built)


def _report(summary: Summary, session: Session) -> None:
    _last[:] = [summary]
    close(summary, session.config.progress)


def _persisted(collections: Sequence[Any], *, optimize_graph: bool = True, **flags: Any) -> list[Any]:
    config = settings.load(flags)
    program = compile_collections(list(collections), optimize_graph=optimize_graph, fusing=fusing_of(config))
    session = _session(program, config)
    leases: dict[str, Lease] = {}
    values = _values(program, session, terms=work.Terms(keep=True))
    kept = [
        _leased(part, session, leases, program, meta_of(collection))
        for part, collection in zip(values, collections, strict=True)
    ]
    return rebuilt(collections, program.wanted, kept, lambda value: _read(value, session))


def _leased(
    kept: Any, session: Session, leases: dict[str, Lease], program: compiled.Program, meta: Any
) -> Any:
    """Return references with what keeps them there, and with what un-pickling the values may import."""
    if isinstance(kept, list):
        return [_leased(part, session, leases, program, meta) for part in kept]
    if kept.lease is not None:
        return kept
    if kept.run not in leases:
        leases[kept.run] = Lease(session.store, kept.run)
    return replace(kept, lease=leases[kept.run], modules=kept_modules(program, kept.id, meta))


def _read(kept: Kept, session: Session) -> Any:
    name = value_name(kept.id)
    frame = session.store.get(kept.run, name)
    return decode(frame, key=session.key_of(kept.run), context=context(kept.run, name))


get.persist = edge(_persisted)  # type: ignore[attr-defined]  # where `dask.persist` looks for a scheduler's own
register("graphlambda", get)
