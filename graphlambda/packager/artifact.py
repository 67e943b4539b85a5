"""The nouns of the packager: Target, Requirement, Layer, Artifact.

In: nothing. Out: what the deployer reads. Must not know AWS's API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from graphlambda.packager.machines import managed_glibc, this_architecture, this_glibc, this_python

if TYPE_CHECKING:
    from pathlib import Path


Level = Literal["default", "bare", "archive", "archive-all"]
"""How tight an artifact is packed; see `levels`. Only what does not fit otherwise is packed tighter than `default`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an artifact is built for."""

    python: str
    """Minor version, such as `3.11`; equal to the client's."""

    architecture: str
    """`x86_64` or `arm64`."""

    glibc: str = field(default_factory=this_glibc)
    """Version of the C library there, such as `2.34`: the managed runtime's, or for the local Lambda this machine's.
    Empty where there is none of GNU's. It decides which files will do, and is no part of a digest."""


def this_target() -> Target:
    """Return the target that is this interpreter on this machine: the local Lambda's."""
    return Target(python=this_python(), architecture=this_architecture())


def managed_target(architecture: str) -> Target:
    """Return the target that is AWS's managed runtime of this interpreter's minor version."""
    return Target(python=this_python(), architecture=architecture, glibc=managed_glibc(this_python()))


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """A distribution at a version that an operation needs."""

    distribution: str
    """Normalised name: `scikit-learn`."""

    version: str

    def __str__(self) -> str:
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Distributions in a zip of their own, shared by functions; its files start with `python/`."""

    name: str
    """Letters, digits, `-` and `_`, at most 64 (AWS: 140); ends in 12 digits of `digest`."""

    digest: str
    """Tree digest (64 hex) of the unzipped files: path, executable bit, content."""

    zip_path: Path
    size_bytes: int
    """Unzipped."""

    zip_bytes: int
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The built files of one operation and their zip, named by digest."""

    operation: str
    """Operation id."""

    name: str
    """Operation name, for people."""

    digest: str
    """64 hex over the tree digest of the function's own files, its layers' digests and the target."""

    handler: str
    """What Lambda calls: `graphlambda_runtime.handler.handler`."""

    target: Target
    zip_path: Path
    size_bytes: int
    """Of the function's own files, unzipped, without layers."""

    zip_bytes: int
    layers: tuple[Layer, ...]
    """In mount order; at most five."""

    requirements: tuple[Requirement, ...]
    """All distributions that it needs, in layers or not, sorted."""

    level: Level = "default"
    tmp_mb: int = 0
    """MiB of /tmp that its function takes for itself when it starts, to unpack its distributions to."""

    proof: str = "imported"
    """How it was proved: `imported` in isolation, or `static`, for a machine that is not this one."""

    aws_refuses: tuple[str, ...] = ()
    """Distributions that load here but would not on AWS, each with the reason."""

    @property
    def whole_zip_bytes(self) -> int:
        """Its zip and those of its layers."""
        return self.zip_bytes + sum(layer.zip_bytes for layer in self.layers)
