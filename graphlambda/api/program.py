"""The program as a user holds it: what the compiler made, and how it is saved.

In: a compiled program. Out: a file that only this user's key opens, and back. Must not compile anything.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cloudpickle

from graphlambda import config as settings
from graphlambda.api.account import root_of
from graphlambda.api.explain import explain
from graphlambda.api.leaving import refuse_any_secret
from graphlambda.compiler import program as compiled
from graphlambda.compiler.listing import listed
from graphlambda.edge import edge
from graphlambda.errors import ProgramFileError
from graphlambda.store.keys import SealError, open_sealed, seal

if TYPE_CHECKING:
    from graphlambda.packager.explanation import Explanation

_PURPOSE = "program"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(compiled.Program):
    """Operations and tasks: the result of compiling. `print` lists them; `save` keeps them."""

    @classmethod
    def of(cls, program: compiled.Program) -> Self:
        """Return a compiled program as a user holds it."""
        return cls(**{field.name: getattr(program, field.name) for field in fields(compiled.Program)})

    def __str__(self) -> str:
        """List the operations."""
        return listed(self)

    def __repr__(self) -> str:
        """Say how large it is; `print` shows its operations, and nothing shows its values."""
        return f"<Program of {self.task_count:,} tasks, {len({table.operation.id for table in self.tables})} operations>"

    @edge
    def explain(self, **flags: Any) -> Explanation:
        """Return what each operation is packed with and why; `print` it. Builds what is not in the cache.

        Raises:
            PackageError: an artifact cannot be built.
        """
        return explain(self, settings.load(flags))

    @edge
    def save(self, path: str | Path, **flags: Any) -> None:
        """Write the program to a file that only this user may read and only this user's key opens, whole or not at all.

        Raises:
            RefusedError: the program holds a secret, which would lie in the file.
        """
        refuse_any_secret(self)
        whole = Path(path)
        unfinished = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}")
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(seal(cloudpickle.dumps(self), _root(flags), _PURPOSE))
        unfinished.replace(whole)


@edge
def load_program(path: str | Path, **flags: Any) -> Program:
    """Read a saved program; it is authenticated before anything is unpickled, and no Dask graph is rebuilt.

    Raises:
        ProgramFileError: the file is damaged, or was sealed by another key.
    """
    try:
        payload = open_sealed(Path(path).read_bytes(), _root(flags), _PURPOSE)
    except SealError as error:
        message = f"{path} cannot be loaded: {error}. Save the program again where it was compiled"
        raise ProgramFileError(message) from error
    program = cloudpickle.loads(payload)
    assert isinstance(program, Program)
    return program


def _root(flags: dict[str, Any]) -> bytes:
    return root_of(settings.load(flags))
