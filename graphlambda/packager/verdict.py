"""Say whether an artifact will do, and if not, what, where and what to do.

In: what was built and what its proof found. Out: nothing, or an error. Must not build.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from graphlambda.errors import ArtifactTooLargeError, MissingDistributionError, ProofError, TargetError
from graphlambda.packager.imports import likely_distribution
from graphlambda.packager.machines import LINUX_NAMES, this_python
from graphlambda.packager.requirements import asked_by, requirement_graph

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.packager.artifact import Target
    from graphlambda.packager.case import Bench, Built
    from graphlambda.packager.layers import Packed
    from graphlambda.packager.proof import Failure

_MOST_LISTED = 10


def check_target(target: Target) -> None:
    """Raise TargetError unless artifacts for the target can be made here."""
    here = this_python()
    if target.python != here:
        raise TargetError(
            f"The target has Python {target.python}, this is Python {here}: by-value code and byte code do not travel "
            f"between minor versions. Choose Python {here} for the functions, or run the client on {target.python}."
        )
    if target.architecture not in LINUX_NAMES:
        raise TargetError(
            f"The target is {target.architecture}: Lambda has {' and '.join(LINUX_NAMES)}. Choose one of them."
        )


def too_large(built: Built, why: str, bench: Bench) -> ArtifactTooLargeError:
    """Return what says that an operation does not fit, with its largest distributions and who asks for them."""
    packed = [each for layer in built.layers for each in layer.packed]
    files_mb = sum(len(file.content) for file in built.case.operation.files) / 1e6
    return ArtifactTooLargeError(
        f"The operation {built.case.operation.name} {why}, even with byte code alone, and with an archive that it "
        f"would unpack to its /tmp. Your own files take {files_mb:.1f} MB. Its largest distributions:\n"
        f"{_listed(packed, built, bench)}\n"
        "Split the step, so that not all of them are needed at once, or read large files of your own where they lie."
    )


def check_proof(built: Built, failure: Failure | None, bench: Bench) -> None:
    """Raise what an operation's failure to import means: MissingDistributionError or ProofError."""
    if failure is None:
        return
    where = (
        f"The artifact of the operation {built.case.operation.name} does not import in isolation: {failure}."
    )
    unknown = [module for module in failure.missing if not bench.installed.providers(module)]
    if unknown:
        raise MissingDistributionError(
            f"{where} No installed distribution provides {', '.join(unknown)}: keep it in the folder of your script, "
            f"or install it (an index probably has it as {', '.join(map(likely_distribution, unknown))})."
        )
    raise ProofError(f"{where} {_remedy(built, failure)}")


def _listed(packed: Iterable[Packed], built: Built, bench: Bench) -> str:
    graph = requirement_graph(built.case.evidence, bench.installed, bench.target, bench.extra)
    largest = sorted(packed, key=lambda each: (-each.tree.size_bytes, each.requirement))[:_MOST_LISTED]
    return "\n".join(
        f"  {each.tree.size_bytes / 1e6:8.1f} MB  {each.requirement}  "
        f"(asked for by {asked_by(graph, each.requirement.distribution)})"
        for each in largest
    )


def _remedy(built: Built, failure: Failure) -> str:
    left_out = [
        f"{each.requirement.distribution}: {path}"
        for layer in built.layers
        for each in layer.packed
        for path in each.tree.left_out
        if PurePosixPath(path).name in failure.message
    ]
    if left_out:
        return f"Its recipe in layers/ leaves that out: {', '.join(left_out)}."
    modules = ", ".join(sorted(built.case.evidence)) or "nothing but the standard library"
    return f"It is known to need {modules}. Name the distribution that is missing in `requirements=`."
