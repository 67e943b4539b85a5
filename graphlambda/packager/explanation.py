"""Why functions hold what they hold: the noun `Explanation`, which reads as text.

In: a program, its artifacts, reasons. Out: an `Explanation`. Must not build.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda.packager.contents import Share, contents_of
from graphlambda.packager.levels import AWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphlambda.compiler.program import Operation, Program
    from graphlambda.packager.artifact import Artifact
    from graphlambda.packager.reasons import Reason

_KERNELS = "graphlambda_kernels"
"""What operations import in place of Dask's own kernels."""

_MOST_NAMES = 4
_LEVELS = {
    "default": "as installed, less what nobody needs",
    "bare": "byte code alone, so that it fits",
    "archive": "the heaviest unpacked to /tmp when it starts, so that it fits",
    "archive-all": "unpacked to /tmp when it starts, so that it fits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One operation and what its function holds."""

    operation: Operation
    tasks: int
    artifact: Artifact
    shares: tuple[Share, ...]
    reasons: Mapping[str, tuple[Reason, ...]]
    """By distribution."""

    @property
    def size_bytes(self) -> int:
        """The function with its layers, unzipped: what the limit holds for."""
        return self.artifact.size_bytes + sum(layer.size_bytes for layer in self.artifact.layers)

    @property
    def kernels(self) -> tuple[str, ...]:
        """Functions of Dask's that NumPy alone does the work of."""
        names = (
            alias.name
            for node in ast.walk(ast.parse(self.operation.source))
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == _KERNELS
            for alias in node.names
        )
        return tuple(sorted(set(names)))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each operation of a program is packed with, and why. `print` it."""

    operations: tuple[Explained, ...]

    def __str__(self) -> str:
        """Say per operation its distributions, sizes, reasons and layers; then what was left out."""
        parts = [_headline(self.operations)]
        parts += ["\n".join(_operation_lines(each)) for each in self.operations]
        gone = sorted(
            {(str(share.requirement), _gone(share)) for each in self.operations for share in each.shares}
        )
        lines = [
            line for name, told in gone if told for line in (f"  {name}", *(f"      {each}" for each in told))
        ]
        if lines:
            parts.append(
                "\n".join(["Left out (importing it says so by name, and it is packed then):", *lines])
            )
        return "\n\n".join(parts)


def explained(
    program: Program,
    artifacts: Sequence[Artifact],
    reasons: Mapping[str, Mapping[str, tuple[Reason, ...]]],
) -> Explanation:
    """Return the explanation of a program; `reasons` are by operation id and distribution."""
    operations = {table.operation.id: table.operation for table in program.tables}
    counts = dict.fromkeys(operations, 0)
    for table in program.tables:
        counts[table.operation.id] += len(table.tasks)
    return Explanation(
        tuple(
            Explained(
                operation=operations[artifact.operation],
                tasks=counts[artifact.operation],
                artifact=artifact,
                shares=contents_of(artifact),
                reasons=reasons[artifact.operation],
            )
            for artifact in artifacts
        )
    )


def _headline(operations: Sequence[Explained]) -> str:
    if not operations:
        return "Nothing to compute: no function is needed."
    target = operations[0].artifact.target
    layers = {layer.digest: layer for each in operations for layer in each.artifact.layers}
    own = {each.artifact.digest: each.artifact.zip_bytes for each in operations}
    total = sum(own.values()) + sum(layer.zip_bytes for layer in layers.values())
    return (
        f"{len(operations)} operations for Python {target.python} on {target.architecture}: {len(own)} functions on "
        f"{len(layers)} layers, {_size(total)} to upload once"
    )


def _operation_lines(each: Explained) -> Iterator[str]:
    artifact = each.artifact
    share = each.size_bytes / AWS.unzipped_bytes
    yield f"{artifact.name}  {artifact.operation[:12]}  {each.tasks:,} tasks"
    yield f"  {_size(each.size_bytes)} unzipped of {_size(AWS.unzipped_bytes)} ({share:.0%}); {_uploads(artifact)}"
    yield f"  level {artifact.level}: {_LEVELS[artifact.level]}; proof: {_proof(artifact)}"
    if artifact.tmp_mb:
        yield f"  takes {artifact.tmp_mb} MiB of /tmp"
    if each.kernels:
        yield f"  NumPy alone instead of dask.array: {', '.join(each.kernels)}"
    for refused in artifact.aws_refuses:
        yield f"  AWS would refuse it: {refused}"
    for part in sorted(each.shares, key=lambda part: (-part.size_bytes, part.requirement)):
        yield f"  {_size(part.size_bytes):>9}  {_size(part.zip_bytes):>9} zipped  {part.requirement}  in {part.layer}"
        for reason in each.reasons.get(part.requirement.distribution, ()):
            yield f"      {reason}"
    yield f"  {_size(artifact.size_bytes):>9}  {_size(artifact.zip_bytes):>9} zipped  its own code and our runtime"


def _uploads(artifact: Artifact) -> str:
    """Say whether each zip may travel in a call."""
    zips = {"the function": artifact.zip_bytes, **{layer.name: layer.zip_bytes for layer in artifact.layers}}
    large = [f"{name} ({_size(size)})" for name, size in zips.items() if size > AWS.zip_bytes]
    limit = f"{_size(AWS.zip_bytes)} of a direct upload"
    return f"through S3, over the {limit}: {', '.join(large)}" if large else f"each zip within the {limit}"


def _proof(artifact: Artifact) -> str:
    if artifact.proof == "imported":
        return "imported where nothing else can be seen"
    return "static, since this machine cannot run it: modules resolve, shared objects find what they need"


def _gone(share: Share) -> tuple[str, ...]:
    return tuple(f"{_some(names)}: {reason}" for reason, names in share.left_out.items())


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    listed: Iterable[str] = names[:_MOST_NAMES] if more > 1 else names
    return ", ".join(listed) + (f" and {more} more" if more > 1 else "")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.1f} kB"
