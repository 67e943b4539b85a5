"""Whether what the account holds under our names is ours: names, tags and descriptions can be written by others.

In: specs, what the service reports, manifests, the bytes that we hold. Out: nothing, or a `DeployError` that says what
was found and what to do. Must not make or delete anything.

A function is ours if its settings are what its name promises, and a manifest under the deployment's key names all that the
service reports of it; or, without one, if its code and its layers' code are the bytes that we hold ourselves. Of what is proved
so, whoever deploys leaves a manifest; who only runs may not, and runs it all the same.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from graphlambda.deployer.manifests import of_function, of_layer
from graphlambda.deployer.plan import disagreements
from graphlambda.deployer.specs import configuration
from graphlambda.deployer.threads import at_once
from graphlambda.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from graphlambda.deployer.cloud import Cloud
    from graphlambda.deployer.functions import (
        Deployed,
        DeployedFunction,
        DeployedLayer,
        FunctionSpec,
        LayerSpec,
    )
    from graphlambda.deployer.manifests import Manifests
    from graphlambda.deployer.threads import AtOnce

_REMEDY = (
    "Nothing of it was run. Find out who made it; then delete it, or choose another deployment_id= "
    "(GRAPHLAMBDA_DEPLOYMENT_ID). All who deploy under one id need one root key"
)
_EXPORTED = (
    "If it was exported and applied by other means, its zip was packed elsewhere: whoever exported it runs `graphlambda deploy` "
    "once, there, which vouches for it. Else: "
)


def code_sha256(zip_path: Path) -> str:
    """Return the digest of a zip as Lambda reports it."""
    with zip_path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()


class Proofs:
    """The proofs of one deploy; used from any thread."""

    def __init__(
        self,
        layers: Iterable[LayerSpec],
        manifests: Manifests,
        cloud: Cloud,
        at_once: AtOnce = at_once,
        *,
        learns: bool = True,
    ) -> None:
        """`learns`: what is proved by its bytes gets a manifest."""
        self._layers = {layer.name: layer for layer in layers}
        self._manifests = manifests
        self._cloud = cloud
        self._at_once = at_once
        self._learns = learns

    def check(self, specs: Iterable[FunctionSpec], deployed: Deployed) -> None:
        """Return if all that was found is ours; raises as `check_functions` does."""
        self.check_functions(specs, deployed.functions)
        self.check_layers(deployed.layers)

    def check_functions(self, specs: Iterable[FunctionSpec], found: Mapping[str, DeployedFunction]) -> None:
        """Return if all functions that were found are ours.

        Raises:
            DeployError: one is not.
        """
        there = {spec.name: spec for spec in specs if spec.invoked in found}
        for _ in self._at_once(lambda spec: self._check(spec, found[spec.invoked]), there.values()):
            pass

    def check_layers(self, found: Mapping[str, DeployedLayer]) -> None:
        """Return if all layer versions that were found are ours; raises as `check_functions` does."""
        for name, version in found.items():
            if not self._is_ours(name, version):
                raise DeployError(
                    f"layer version {version.arn!r} holds other code than this name promises "
                    f"(CodeSha256 {version.code_sha256}), and no manifest names it. {_REMEDY}"
                )

    def _check(self, spec: FunctionSpec, found: DeployedFunction) -> None:
        reported = found.configuration
        wanted = configuration(spec, reported.code_sha256)
        if differences := disagreements(wanted, reported):
            raise _planted(spec, "; ".join(differences))
        if self._manifests.proves(spec.name, of_function(reported, found.layers)):
            return
        if (ours := code_sha256(spec.zip_path)) != reported.code_sha256:
            (difference,) = disagreements(replace(wanted, code_sha256=ours), reported)
            raise _planted(spec, difference, _EXPORTED)
        for name, arn in zip(spec.layers, found.layers, strict=True):
            if not self._is_ours(name, self._cloud.layer_version(arn)):
                raise _planted(spec, f"it stands on {arn!r}, whose code is another", _EXPORTED)
        if self._learns:
            with suppress(DeployError):  # it is proved without, and who only runs writes no manifest
                self._manifests.vouch(spec.name, of_function(reported, found.layers))

    def _is_ours(self, name: str, version: DeployedLayer) -> bool:
        if self._manifests.proves(name, of_layer(version.code_sha256)):
            return True
        return version.code_sha256 == code_sha256(self._layers[name].zip_path)


def _planted(spec: FunctionSpec, difference: str, first: str = "") -> DeployError:
    return DeployError(
        f"function {spec.name!r} exists and is not the one that this name promises: {difference}, "
        f"and no manifest under this deployment's key names it. {first}{_REMEDY}"
    )
