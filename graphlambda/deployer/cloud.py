"""The Cloud protocol: the few things that a deployer asks of a control plane.

In: names and `Call`s. Out: what the account reports. Must not know AWS's client: `aws` does,
`graphlambda.testing.cloud_contract` has tests for whoever is one, `testing.clouds` an in-memory twin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.deployer.functions import (
        Call,
        Deployed,
        DeployedFunction,
        DeployedLayer,
        Made,
        Provisioned,
    )


class Cloud(Protocol):
    """One account and region, or the local Lambda. Safe for several threads at once."""

    @property
    def endpoint(self) -> str:
        """Where functions live: a URL, or a region's name."""

    def describe(self, *, functions: Iterable[str] = (), layers: Iterable[str] = ()) -> Deployed:
        """Return what there is under these names; what is not there is left out. Changes nothing.

        Raises:
            CloudError: the control plane refused to say.
        """

    def layer_version(self, arn: str) -> DeployedLayer:
        """Return one version of a layer.

        Raises:
            CloudError: there is none, or the control plane refused to say.
        """

    def names(self, prefix: str) -> tuple[list[str], list[str]]:
        """Return the names of all functions, and of all layers, that begin so. Raises as `describe` does."""

    def versions(self, layer: str) -> list[str]:
        """Return the ARNs of all versions of a layer; none where there is no such layer. Raises as `describe` does."""

    def call(self, call: Call) -> Made:
        """Make one call of a plan; its params hold no `Ref`, and `Path`s stand for the files' bytes.

        To create what somebody has created since it was described is no error: `Made.new` is then false,
        and what is there is for the caller to compare; nor is it to delete what somebody else deletes. A call that the
        service is too busy for with the same function is made again for a while.

        Raises:
            CloudError: the control plane refused.
        """

    def provisioned(self, function: str) -> Provisioned | None:
        """Return what is initialised in advance of a version of a function, `name:version`; None where nothing is.

        Raises:
            CloudError: the control plane refused to say.
        """

    def wait_active(self, name: str) -> DeployedFunction:
        """Wait until a function can be invoked; return what it is then.

        Raises:
            CloudError: there is no such function, or its creation failed.
            DeployTimeoutError: it is neither active nor failed after the time that this cloud allows.
        """

    def wait_gone(self, name: str) -> None:
        """Wait until a function that was deleted is gone, or another is there in its place: AWS deletes some time later.

        Raises:
            CloudError: the control plane refused to say.
            DeployTimeoutError: it is there after the time that this cloud allows.
        """
