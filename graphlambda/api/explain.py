"""Why a program's functions hold what they hold.

In: a program, settings. Out: an `Explanation`. Builds artifacts, from the cache where they are; makes no function
and runs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.api import building
from graphlambda.compiler import called_operations
from graphlambda.config import SAFE
from graphlambda.packager import read_installed
from graphlambda.packager.cache import Cache
from graphlambda.packager.explanation import Explanation, explained
from graphlambda.packager.reasons import Inquiry, reasons_of

if TYPE_CHECKING:
    from graphlambda.compiler import Program
    from graphlambda.config import Config


def explain(program: Program, config: Config) -> Explanation:
    """Return which distributions each operation is packed with, how large they are, and why.

    Raises:
        PackageError: an artifact cannot be built.
    """
    operations = called_operations(program)
    artifacts = building.artifacts_of(operations, config)
    reasons = {
        operation.id: reasons_of(
            Inquiry(
                operation=operation,
                program=program,
                installed=read_installed(),
                target=artifact.target,
                cache=Cache(config.cache_dir),
                extra=config.requirements,
                safe=config.deps == SAFE,
            )
        )
        for operation, artifact in zip(operations, artifacts, strict=True)
    }
    return explained(program, artifacts, reasons)
