"""Commands about an account: `aws init` sets it up, `status` lists what stands, `destroy` takes it away, `policy` says who may what.

In: parsed arguments. Out: text and an exit code. Asks before anything is made or removed. Must not decide anything: `account` does.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphlambda import config as settings
from graphlambda.account import making, policies
from graphlambda.account.choices import CACHES, Choices
from graphlambda.account.costs import monthly
from graphlambda.account.stack import ABSENT, VALKEY_VPC
from graphlambda.account.stacks import Patience
from graphlambda.account.standing import survey
from graphlambda.account.template import template
from graphlambda.api.removing import removal_of
from graphlambda.cli.asking import agreed, refuse_nobody
from graphlambda.cli.table import WHERE, Command, given
from graphlambda.errors import ConfigError
from graphlambda.prices import prices_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.account import Stack
    from graphlambda.account.aws import Account
    from graphlambda.account.standing import Standing
    from graphlambda.config import Config
    from graphlambda.deployer.names import Names
    from graphlambda.deployer.sweep import Sweep

ABOUT = "set up, look at and take away what runs on AWS need"

_CHOICES = (
    "cache", "role_arn", "permissions_boundary", "kms_key_arn", "bucket", "tags", "data", "secrets", "allow_vpc", *making.PLACE,
)  # fmt: skip
_POLICIES = ("deployer", "runner", "function", "trust", "bucket")


def init(options: argparse.Namespace) -> int:
    """Show what would be made or changed, and do it."""
    account, names = _where(options)
    if options.template:
        print(json.dumps(template(names, making.draft(account, names, _flags(options))), indent=2))
        return 0
    refuse_nobody(yes=options.yes)
    patience = Patience()
    if options.adopt:
        _refuse_choices(options)
        intent = making.adopt(account, names)
    else:
        intent = making.intend(account, names, _flags(options), patience)
    would = "is made of" if intent.template else "changes so" if intent.changes else "stays as it is"
    print(f"{_place(names)}: the stack {names.stack} {would}")
    for each in intent.changes:
        lost = "; it is replaced: what it holds is lost" if each.replaced else ""
        print(f"  {each.action.lower():<7} {each.type:<32} {each.name}{lost}")
    print("  and a root key in its bucket, where there is none yet")
    if not agreed("Do it?", yes=options.yes):
        making.drop(account, intent)
        return 1
    stack, is_new = making.carry_out(account, intent, patience)
    _say_how(stack, is_new=is_new)
    return 0


def status(options: argparse.Namespace) -> int:
    """List what stands, and what that costs."""
    account, names = _where(options)
    standing = survey(account, names)
    state = "not there" if standing.state == ABSENT else standing.state
    print(f"{_place(names)}: the stack {names.stack} is {state}")
    _list(standing)
    for run in standing.living:
        print(f"  run{'':<29} {run}, which a client goes on with")
    prices = prices_of(names.region)
    costs = monthly(standing, prices)
    total_usd = sum(each.usd for each in costs)
    print(f"While nothing runs this costs ${total_usd:,.2f} a month (list prices of {prices.told}):")
    for each in costs:
        print(f"  ${each.usd:,.2f}  {each.what}")
    print(
        "Not counted: uploads that nobody ended, and what is yours: secrets, KMS keys, buckets, ways into a VPC."
    )
    return 0


def destroy(options: argparse.Namespace) -> int:
    """Remove all of a deployment, and prove it."""
    refuse_nobody(yes=options.yes)
    config = _config(options)
    account, names = _where(options)
    standing = survey(account, names)
    if standing.is_empty:
        print(f"{_place(names)}: nothing is there of {names.deployment}.")
        return 0
    removal = removal_of(config, account, standing)
    found = removal.agreeable(standing)
    print(f"{_place(names)}: all of this is deleted, values, runs and the root key included:")
    for piece in found.gone:
        print(f"  {piece.arn}")
    _list(replace(standing, functions=(), layers={}), stack=standing.is_ours)
    _say_what_stays(standing, found)
    if not agreed(f"Delete {names.deployment}?", yes=options.yes):
        return 1
    left = removal.remove(found)
    if left.is_empty:
        print(f"Nothing is left of {names.deployment} in account {names.account}, {names.region}.")
        return 0
    print("This is left: nothing but its name says that it is ours.")
    _list(left)
    return 1


def _say_what_stays(standing: Standing, found: Sweep) -> None:
    for piece, why in found.stays:
        print(f"  stays   {piece.arn}  {why}")
    unseen = {*standing.functions, *standing.layers} - {
        piece.name for piece in (*found.gone, *dict(found.stays))
    }
    for name in sorted(unseen):
        print(f"  stays   {name}  there is no root key, without which nothing shows who made it")
    if standing.resources and not standing.is_ours:
        print(f"  stays   the stack {standing.names.stack}: nothing but its name says that it is ours")


def policy(options: argparse.Namespace) -> int:
    """Print the policies, for an administrator who makes them herself."""
    account, names = _where(options)
    choices = making.draft(account, names, _flags(options))
    documents = _documents(names, choices)
    print(json.dumps(documents[options.which] if options.which else documents, indent=2))
    return 0


def _documents(names: Names, choices: Choices) -> Mapping[str, Any]:
    return {
        "deployer": policies.deployer(names, choices),
        "runner": policies.runner(names, choices),
        "function": policies.function(names, choices),
        "trust": policies.trust(names),
        "bucket": policies.bucket(names, choices),
        "why some are allowed on everything": policies.FORCED,
    }


def _config(options: argparse.Namespace) -> Config:
    return settings.load({"endpoint": settings.AWS, **given(options)})


def _where(options: argparse.Namespace) -> tuple[Account, Names]:
    from graphlambda.account.aws import account as of  # noqa: PLC0415  (boto3, for who asks AWS)

    config = _config(options)
    account = of(config.region)
    return account, account.names(config.deployment_id)


def _flags(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _CHOICES}


def _refuse_choices(options: argparse.Namespace) -> None:
    """Refuse flags that would change a stack that is to stay as it is.

    Raises:
        ConfigError: there are some.
    """
    if given := [name for name, value in _flags(options).items() if value is not None]:
        raise ConfigError(f"--adopt changes nothing of the stack: leave out what chooses {', '.join(given)}")


def _place(names: Names) -> str:
    return f"Account {names.account}, {names.region}"


def _list(standing: Standing, *, stack: bool = True) -> None:
    for each in standing.resources if stack else ():
        print(f"  {each.type:<32} {each.name}")
    for name in standing.functions:
        print(f"  function{'':<24} {name}")
    for name, versions in standing.layers.items():
        print(f"  layer{'':<27} {name}, {len(versions)} versions")
    for name, amount in standing.parts.items():
        place = f"s3://{standing.bucket}/{standing.names.prefix}/{name}"
        print(f"  {amount.objects:>8,} objects, {amount.size_bytes / 1e6:>10,.1f} MB  {place}")
    if standing.uploads:
        print(f"  {standing.uploads:>8,} uploads that nobody ended")
    if standing.log_bytes is not None and standing.state == ABSENT:
        print(f"  log{'':<29} {standing.names.log_group}")


def _say_how(stack: Stack, *, is_new: bool) -> None:
    told = {
        "store": stack.store,
        "root key": "made" if is_new else "was there",
        "role": stack.role_arn,
        "log": stack.log_group,
        "cache": f"{stack.cache.host}:{stack.cache.port}" if stack.cache else "none",
    }
    for name, value in told.items():
        print(f"  {name:<9} {value}")
    names = stack.names
    if stack.cache is not None and stack.cache.kind == VALKEY_VPC:
        print(
            "Values go to the bucket: the cache is reached from its VPC alone. A client there, in the security group of the "
            f"functions, uses it by store={stack.behind_cache!r}."
        )
    print(
        f'Run there by endpoint="aws", or GRAPHLAMBDA_ENDPOINT=aws, with deployment_id={names.deployment!r} and '
        f"region={names.region!r}.\n`graphlambda aws policy` prints what whoever deploys or runs may do."
    )


def _each(*names: str) -> dict[str, Mapping[str, object]]:
    return {name: _ARGUMENTS[name] for name in names}


def _many(metavar: str, told: str, name: str) -> Mapping[str, object]:
    return {
        "action": "append",
        "metavar": metavar,
        "dest": name,
        "help": f"{told}; may be repeated, `none` takes all back",
    }


_ARGUMENTS: Mapping[str, Mapping[str, object]] = {
    **WHERE,
    "--yes": {"action": "store_true", "help": "do not ask"},
    "--cache": {
        "choices": CACHES,
        "help": "none (the default) costs nothing while nothing runs; that of valkey-vpc is used by clients in the VPC that name it",
    },
    "--vpc": {"metavar": "vpc-…", "help": "for valkey-vpc: where; else the default VPC"},
    "--subnet": {
        "action": "append",
        "metavar": "subnet-…",
        "dest": "subnets",
        "help": "for valkey-vpc: one of an availability zone; may be repeated",
    },
    "--security-group": {
        "action": "append",
        "metavar": "sg-…",
        "dest": "security_groups",
        "help": "for valkey-vpc: of functions and cache, in place of two that are made; may be repeated",
    },
    "--role-arn": {"metavar": "ARN", "help": "a role for the functions: then nothing is made in IAM"},
    "--permissions-boundary": {"metavar": "ARN", "help": "a policy that bounds the role that is made"},
    "--kms-key": {"metavar": "ARN", "dest": "kms_key_arn", "help": "a key that encrypts bucket and cache"},
    "--bucket": {"metavar": "NAME", "help": "a bucket that is there, in place of one that is made"},
    "--tag": _many("KEY=VALUE", "a tag on all that is made", "tags"),
    "--data": _many(
        "S3_URL",
        "what functions may read of yours, `s3://bucket/prefix`; and write, with `:rw` at its end",
        "data",
    ),
    "--secret": _many(
        "ARN",
        "a secret or SSM parameter that functions may read, or your own key that encrypts some",
        "secrets",
    ),
    "--allow-vpc": {
        "action": argparse.BooleanOptionalAction,
        "help": "whether operations may be put into a VPC by their settings",
    },
    "--template": {"action": "store_true", "help": "print the CloudFormation template and change nothing"},
    "--adopt": {
        "action": "store_true",
        "help": "stand on a stack that an administrator made, and change nothing of it",
    },
    "which": {"nargs": "?", "choices": _POLICIES, "help": "one document alone"},
}
_WANTED = (
    "--cache", "--vpc", "--subnet", "--security-group", "--role-arn", "--permissions-boundary", "--kms-key", "--bucket",
    "--tag", "--data", "--secret", "--allow-vpc",
)  # fmt: skip

COMMANDS = {
    "aws init": Command(
        run=init,
        help="make what a deployment stands on, or change it",
        more=(
            "One CloudFormation stack: bucket, functions' role, log, policies for people, and by choice a cache; and a root "
            "key that functions cannot read. What is given replaces what an earlier init chose; what is not given stays. "
            "All of it is shown before anything is made."
        ),
        arguments=_each(*WHERE, *_WANTED, "--template", "--adopt", "--yes"),
    ),
    "aws status": Command(
        run=status,
        help="list what stands there, and what it costs while nothing runs",
        more="Nothing is changed.",
        arguments=_each(*WHERE),
    ),
    "aws destroy": Command(
        run=destroy,
        help="remove all of a deployment: functions, layers, data, stack",
        more=(
            "What its name and tag do not prove to be this deployment's stays, and is named; nothing is removed while a client "
            "goes on with a run. All of it is shown before anything is removed."
        ),
        arguments=_each(*WHERE, "--yes"),
    ),
    "aws policy": Command(
        run=policy,
        help="print who may do what, as IAM policies",
        more="For administrators who make them themselves. Of a stack that is there, or as the arguments ask.",
        arguments=_each("which", *WHERE, *_WANTED),
    ),
}
