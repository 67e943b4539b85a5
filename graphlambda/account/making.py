"""Set an account up for a deployment: what would be made or changed, and making it once somebody has agreed.

In: names, flags, an account. Out: an `Intent`, then a `Stack`. Must not change anything before `carry_out`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphlambda.account import network, rootkey
from graphlambda.account.choices import Choices, changed
from graphlambda.account.stack import VALKEY_VPC, Stack, read
from graphlambda.account.stacks import accept, additions, chosen, create, decline, propose, refuse_unready
from graphlambda.account.template import template
from graphlambda.errors import ConfigError, StackError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.account.aws import Account
    from graphlambda.account.stacks import Change, Patience, Proposal
    from graphlambda.account.template import Template
    from graphlambda.deployer.names import Names

PLACE = ("vpc", "subnets", "security_groups")
"""Flags that say where in a VPC; the rest is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What setting up would do."""

    names: Names
    changes: tuple[Change, ...]
    """Of the stack; none where it is as it should be."""

    template: Template | None = None
    """Of a stack that is to be made."""

    proposal: Proposal | None = None
    """Of a stack that is to be changed."""

    stack: Stack | None = None
    """That stays as it is."""


def draft(account: Account, names: Names, flags: Mapping[str, Any]) -> Choices:
    """Return the choices of a stack that is there, if there is one, with what the flags change.

    Raises:
        CloudError: AWS refuses to say.
        ConfigError: flags are wrong.
        StackError: there is a stack of that name that is not of this deployment.
    """
    before = Choices()
    if account.described(names.stack) is not None:
        found = chosen(account, names)
        if found is None:
            raise StackError(
                f"the stack {names.stack} is there and does not say that it is of this deployment: "
                "`graphlambda aws init --adopt` takes it as it is"
            )
        before = found
    return changed(before, _placed(account, names, before, flags), names)


def intend(account: Account, names: Names, flags: Mapping[str, Any], patience: Patience) -> Intent:
    """Return what it takes to have the stack that the flags ask for; raises as `draft` does, or for a bucket that is not ours."""
    answer = account.described(names.stack)
    if answer is not None:
        refuse_unready(names, answer["Stacks"][0]["StackStatus"])
    choices = draft(account, names, flags)
    if choices.bucket:  # looked at below our prefix, where whoever keeps to `aws policy` may
        place = {"Bucket": choices.bucket, "ExpectedBucketOwner": names.account}
        account.ask("s3", "list_objects_v2", **place, Prefix=f"{names.prefix}/", MaxKeys=1)
    wanted = template(names, choices)
    if answer is None:
        return Intent(names=names, changes=additions(wanted), template=wanted)
    proposal = propose(account, names, wanted, patience)
    if proposal is None:
        return Intent(names=names, changes=(), stack=read(answer))
    return Intent(names=names, changes=proposal.changes, proposal=proposal)


def adopt(account: Account, names: Names) -> Intent:
    """Return what it takes to stand on a stack that somebody else has made: it stays as it is.

    Raises:
        CloudError: AWS refuses to say.
        StackError: there is none, it is not ready, or lacks an output.
    """
    answer = account.described(names.stack)
    if answer is None:
        raise StackError(f"there is no stack {names.stack} in {names.account}, {names.region}, to adopt")
    stack = read(answer)
    if stack.names != names:
        raise StackError(f"the stack {names.stack} is of the deployment {stack.names.deployment!r}")
    return Intent(names=names, changes=(), stack=stack)


def carry_out(account: Account, intent: Intent, patience: Patience) -> tuple[Stack, bool]:
    """Make what was intended; return the stack, and whether the root key was made.

    Raises:
        CloudError: AWS refuses.
        StackError: the stack did not come about.
    """
    if intent.template is not None:
        stack = create(account, intent.names, intent.template, patience)
    elif intent.proposal is not None:
        stack = accept(account, intent.proposal, patience)
    else:
        assert intent.stack is not None, "what is neither made nor changed is there"
        stack = intent.stack
    return stack, rootkey.write(account, stack, patience)


def drop(account: Account, intent: Intent) -> None:
    """Forget an intent that nobody agreed to."""
    if intent.proposal is not None:
        decline(account, intent.proposal)


def _placed(account: Account, names: Names, before: Choices, flags: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the flags with a place in a VPC, found where that is asked for and not there yet."""
    given = {name: flags[name] for name in PLACE if flags.get(name)}
    rest = {name: value for name, value in flags.items() if name not in PLACE}
    if (flags.get("cache") or before.cache) != VALKEY_VPC:
        if given:
            raise ConfigError("--vpc, --subnet and --security-group are for --cache valkey-vpc")
        return rest
    if before.vpc is not None and not given:
        return rest
    wanted = {"vpc": "", "subnets": (), "security_groups": (), **given}
    return {**rest, "vpc": network.find(account, names, **wanted)}
