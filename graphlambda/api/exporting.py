"""A program as infrastructure code, for whoever makes functions by other means than `deploy`.

In: a program, a configuration, a folder. Out: a document and the zips that it names, in that folder. Must not make anything in
the account.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

from graphlambda.account import export, policies
from graphlambda.account.choices import Choices
from graphlambda.account.stack import NONE
from graphlambda.api.account import names_of, stack_of
from graphlambda.api.calls import plan_by
from graphlambda.config import AWS
from graphlambda.deployer.functions import Deployed
from graphlambda.deployer.names import ARTIFACTS
from graphlambda.deployer.plan import plan
from graphlambda.errors import ConfigError
from graphlambda.packager.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.account import Stack
    from graphlambda.compiler import Program
    from graphlambda.config import Config
    from graphlambda.deployer import Plan

DOCUMENTS = {export.CLOUDFORMATION: "template.json", export.TERRAFORM: "main.tf.json"}


def export_by(program: Program, config: Config, kind: str, folder: Path) -> export.Wanted:
    """Write the document of a kind and its zips into a folder; return what was exported. Raises as `plan` does, too.

    Raises:
        ConfigError: functions are not on AWS, the deployment has no stack, or the program is too large for the kind.
    """
    if config.endpoint != AWS:
        raise ConfigError(
            'functions are exported for an account: set endpoint="aws" (GRAPHLAMBDA_ENDPOINT=aws)'
        )
    stack = stack_of(config)
    if stack is None:
        names = names_of(config)
        raise ConfigError(
            f"there is no stack {names.stack}, whose bucket and role the document names: `graphlambda aws init` makes one"
        )
    with Cache(config.cache_dir).lease():
        wanted = _wanted(plan_by(program, config), stack)
        document = export.exported(wanted, kind)
        (folder / export.ZIPS).mkdir(parents=True, exist_ok=True)
        for path, key in wanted.zips.items():
            shutil.copyfile(path, folder / export.ZIPS / key)
    (folder / DOCUMENTS[kind]).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return wanted


def _wanted(planned: Plan, stack: Stack) -> export.Wanted:
    nothing = Deployed(functions={}, layers={})
    calls = plan(planned.layers, planned.functions, nothing)
    needed = {layer.name: layer for layer in planned.layers}
    paths = [*(layer.zip_path for layer in needed.values()), *(spec.zip_path for spec in planned.functions)]
    specs = {spec.name: spec for spec in planned.functions}
    functions = sorted({*specs, *(spec.invoked for spec in specs.values())})
    choices = Choices(
        cache=stack.cache.kind if stack.cache else NONE,
        kms_key_arn=stack.kms_key_arn,
        bucket=stack.bucket,
        role_arn=stack.role_arn,
    )
    digest = hashlib.sha256("\n".join(functions).encode()).hexdigest()[:12]
    return export.Wanted(
        deployment=stack.names.deployment,
        region=stack.names.region,
        calls=calls,
        zips={path: _key(path) for path in dict.fromkeys(paths)},
        bucket=stack.bucket,
        prefix=f"{stack.prefix}/{ARTIFACTS}/",
        reserved={
            name: spec.settings.reserved for name, spec in specs.items() if spec.settings.reserved is not None
        },
        provisioned={
            name: spec.settings.provisioned for name, spec in specs.items() if spec.settings.provisioned
        },
        policy_name=f"{stack.names.runner_policy}-{digest}",
        policy=policies.runner(stack.names, choices, functions),
    )


def _key(path: Path) -> str:
    with path.open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}.zip"
