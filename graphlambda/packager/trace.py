"""What importing an operation's modules brings along on this machine: for `deps="safe"`.

In: modules, what is installed. Out: a module of each distribution that was imported. Must not import the user's
own files or run anything of the operation: only distributions' modules are imported, in an interpreter of their own.

A library that finds another one does more, or something else, than without it (`import dask.array` takes what
optional libraries there are). By evidence alone an operation gets those that it asks for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.packager.alone import ask
from graphlambda.packager.slim import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.packager.cache import Cache
    from graphlambda.packager.installed import Installed


def traced(modules: Iterable[str], installed: Installed, cache: Cache) -> frozenset[str]:
    """Return one module (the outermost) of each distribution that importing these modules imports.

    Remembered as long as nothing else is installed. Raises ProofError when the interpreter dies or waits.
    """
    wanted = sorted(filter(installed.providers, modules))
    records = (each.record_digest for each in installed.distributions.values())
    key = f"{key_of('trace', *wanted, '', *installed.paths, '', *records)}.json"
    known = cache.get("traces", key)
    if known is None:
        with cache.scratch() as scratch:
            job = {"paths": homes(installed), "modules": wanted}
            known = json.dumps(ask("trace", job, ", ".join(wanted), scratch)).encode()
        cache.put("traces", key, known)
    return _outermost(json.loads(known), installed)


def homes(installed: Installed) -> list[str]:
    """Return the folders that hold distributions, in the order of `sys.path`: no folder of the user's own."""
    roots = {each.root for each in installed.distributions.values()}
    return [path for path in installed.paths if Path(path) in roots]


def _outermost(names: list[str], installed: Installed) -> frozenset[str]:
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda each: (each.count("."), each)):
        if name not in installed.namespaces:
            for distribution in installed.providers(name):
                found.setdefault(distribution, name)
    return frozenset(found.values())
