"""Operations become artifacts: what each needs and nothing else, proved to import.

In: operations and a target. Out: artifacts and the layers that they stand on. Must not call AWS, nor the
user's code.
"""

from graphlambda.packager.artifact import Artifact, Layer, Requirement, Target, managed_target, this_target
from graphlambda.packager.build import build
from graphlambda.packager.evidence import foreseen
from graphlambda.packager.installed import Installed, read_installed
from graphlambda.packager.requirements import requirements_of

__all__ = [
    "Artifact",
    "Installed",
    "Layer",
    "Requirement",
    "Target",
    "build",
    "foreseen",
    "managed_target",
    "read_installed",
    "requirements_of",
    "this_target",
]
