"""A deployment's stack: made, changed after its changes were shown, deleted; each waited for, within a bound.

In: names, a template, an account. Out: what CloudFormation would change, and did. Must not touch a stack whose template
does not say that it is this deployment's.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import islice
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from graphlambda.account.choices import Choices, choices_of
from graphlambda.account.stack import ABSENT, READY, Stack, read
from graphlambda.account.template import METADATA
from graphlambda.deployer.names import TAG
from graphlambda.errors import CloudError, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphlambda.account.aws import Account
    from graphlambda.account.template import Template
    from graphlambda.deployer.names import Names

T = TypeVar("T")

LONGEST_S = 3_600.0
"""A cache takes some minutes, a VPC's network interfaces up to twenty until they are gone (AWS: Lambda in a VPC)."""

LAG_S = 60.0
"""How long what was changed in AWS may be unknown to others, or be in the way of the next change; AWS promises no bound."""

POLL_S = (0.1, 10.0)
"""Shortest and longest wait between two looks."""

_UNCHANGED = ("didn't contain changes", "No updates are to be performed")
_DEAD = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"})
"""States that a stack leaves by being deleted, and by nothing else."""

_UNSEEN = "UNKNOWN_IN_PROGRESS"
"""Ours, for a stack that was made a moment ago, and of which CloudFormation knows nothing yet."""

_MOST_REASONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One resource that a stack would make, change or delete."""

    action: str
    """`Add`, `Modify` or `Remove`."""

    type: str
    """CloudFormation's: `AWS::S3::Bucket`."""

    name: str
    """In the account, as far as that is known before; else in the template."""

    replaced: bool = False
    """Whether another takes its place, so that what it holds is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A change set: what CloudFormation would do to a stack."""

    id: str
    stack: str
    """The stack's id."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """How what takes minutes is waited for."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self, look: Callable[[], str], ends: Callable[[str], bool], what: str) -> str:
        """Look until a state is an end; return it.

        Raises:
            StackError: it is not, after `LONGEST_S`.
        """
        for waited_s in self._pauses():
            if ends(state := look()):
                break
            if waited_s > LONGEST_S:
                raise StackError(f"{what} is still {state} after {LONGEST_S / 60:.0f} minutes")
        return state

    def through(self, ask: Callable[[], T], passing: frozenset[str]) -> T:
        """Ask until AWS no longer refuses for what passes, for at most `LAG_S`; return the answer.

        Raises:
            CloudError: it still refuses so, or otherwise.
        """
        for waited_s in self._pauses():
            try:
                answer = ask()
                break
            except CloudError as error:
                if error.code not in passing or waited_s > LAG_S:
                    raise
        return answer

    def settled(self, look: Callable[[], T], is_settled: Callable[[T], bool]) -> T:
        """Look until AWS knows everywhere what was changed, for at most `LAG_S`; return what is seen then."""
        for waited_s in self._pauses():
            seen = look()
            if is_settled(seen) or waited_s > LAG_S:
                break
        return seen

    def _pauses(self) -> Iterator[float]:
        """Yield for how long it was waited, first often and then every ten seconds."""
        start_s = self.clock()
        pause_s, longest_s = POLL_S
        while True:
            yield self.clock() - start_s
            self.sleep(pause_s)
            pause_s = min(longest_s, pause_s * 1.5)


def additions(template: Template) -> tuple[Change, ...]:
    """Return what a new stack makes."""
    return tuple(
        Change(action="Add", type=each["Type"], name=_name(logical, each["Properties"]))
        for logical, each in template["Resources"].items()
    )


def chosen(account: Account, names: Names, stack: str = "") -> Choices | None:
    """Return the choices that a stack was made by; None where its template does not say that it is this deployment's.

    By its id, `stack`, CloudFormation knows one that is gone, too.

    Raises:
        CloudError: CloudFormation refuses to say.
    """
    wanted = {"StackName": stack or names.stack, "TemplateStage": "Original"}
    found = account.ask("cloudformation", "get_template", **wanted)
    body = found["TemplateBody"]
    if not isinstance(body, dict):  # YAML, which none of ours is
        return None
    told = body.get("Metadata", {}).get(METADATA, {})
    return choices_of(told.get("choices", {})) if told.get("deployment") == names.deployment else None


def create(account: Account, names: Names, template: Template, patience: Patience) -> Stack:
    """Make the stack; what comes about of one that fails is deleted again.

    Raises:
        CloudError: AWS refuses.
        StackError: it did not come about; the message has CloudFormation's reasons.
    """
    wanted = {"StackName": names.stack, "OnFailure": "DELETE", **_body(names, template)}
    try:
        answer = account.ask("cloudformation", "create_stack", **wanted)
    except CloudError as error:
        if error.code == "AlreadyExistsException":
            raise StackError(
                f"somebody else makes {names.stack} at this moment: try again once it is there"
            ) from error
        raise
    return _made(account, answer["StackId"], "CREATE_COMPLETE", patience)


def propose(account: Account, names: Names, template: Template, patience: Patience) -> Proposal | None:
    """Return what a template would change of the stack that is there; None where it is as the template says.

    Raises:
        CloudError: AWS refuses.
        StackError: CloudFormation cannot say, or the stack can only be deleted.
    """
    answer = account.ask(
        "cloudformation",
        "create_change_set",
        StackName=names.stack,
        ChangeSetName=f"graphlambda-{token_hex(4)}",
        ChangeSetType="UPDATE",
        **_body(names, template),
    )
    wanted = {"StackName": answer["StackId"], "ChangeSetName": answer["Id"]}
    told: Mapping[str, Any] = {}

    def look() -> str:
        nonlocal told
        told = account.ask("cloudformation", "describe_change_set", **wanted)
        return str(told["Status"])

    if patience.until(look, {"CREATE_COMPLETE", "FAILED"}.__contains__, "the change set") == "FAILED":
        account.ask("cloudformation", "delete_change_set", **wanted)
        reason = told.get("StatusReason", "CloudFormation gives no reason")
        if any(each in reason for each in _UNCHANGED):
            return None
        raise StackError(f"what would change of {names.stack} cannot be said: {reason}")
    changes = tuple(_change(each["ResourceChange"]) for each in told["Changes"])
    return Proposal(id=answer["Id"], stack=answer["StackId"], changes=changes)


def accept(account: Account, proposal: Proposal, patience: Patience) -> Stack:
    """Make a proposal's changes; where one fails, all are taken back. Raises as `create` does."""
    wanted = {"StackName": proposal.stack, "ChangeSetName": proposal.id}
    account.ask("cloudformation", "execute_change_set", **wanted)
    return _made(account, proposal.stack, "UPDATE_COMPLETE", patience)


def decline(account: Account, proposal: Proposal) -> None:
    """Take a proposal back; nothing has changed."""
    account.ask("cloudformation", "delete_change_set", StackName=proposal.stack, ChangeSetName=proposal.id)


def delete(account: Account, names: Names, patience: Patience) -> None:
    """Delete the stack; one that is not there is passed over. Raises as `create` does."""
    answer = account.described(names.stack)
    if answer is None:
        return
    (found,) = answer["Stacks"]
    stack = found["StackId"]
    account.ask("cloudformation", "delete_stack", StackName=stack)
    state = patience.until(lambda: _state(account, stack), _is_over, f"the deletion of {names.stack}")
    if state != ABSENT:
        raise StackError(f"{names.stack} cannot be deleted ({state}): {_reasons(account, stack)}")


def refuse_unready(names: Names, state: str) -> None:
    """Refuse a stack that cannot be changed now.

    Raises:
        StackError: it is being changed, or can only be deleted.
    """
    if state in _DEAD:
        raise StackError(f"the stack {names.stack} is {state}: `graphlambda aws destroy` deletes it")
    if state not in READY:
        raise StackError(f"the stack {names.stack} is {state}: try again once CloudFormation has ended that")


def _made(account: Account, stack: str, wanted: str, patience: Patience) -> Stack:
    state = patience.until(lambda: _state(account, stack, _UNSEEN), _is_over, f"the stack {stack}")
    if state != wanted:
        raise StackError(f"CloudFormation ended with {state}: {_reasons(account, stack)}")
    answer = account.described(stack)
    assert answer is not None, "a stack is told of by its id when it is gone, too"
    return read(answer)


def _state(account: Account, stack: str, unknown: str = ABSENT) -> str:
    answer = account.described(stack)
    return unknown if answer is None else str(answer["Stacks"][0]["StackStatus"])


def _is_over(state: str) -> bool:
    return not state.endswith("_IN_PROGRESS")


def _reasons(account: Account, stack: str) -> str:
    """Return what failed first, and why, in CloudFormation's words."""
    events = account.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=stack)
    failed = [
        f"{event['LogicalResourceId']} ({event['ResourceType']}): {event['ResourceStatusReason']}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "cancelled")
    ]
    return "; ".join(islice(reversed(failed), _MOST_REASONS)) or "CloudFormation gives no reason"


def _body(names: Names, template: Template) -> dict[str, Any]:
    choices = template["Metadata"][METADATA]["choices"]
    tags = {**choices.get("tags", {}), TAG: names.deployment}
    return {
        "TemplateBody": json.dumps(template),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def _change(told: Mapping[str, Any]) -> Change:
    return Change(
        action=told["Action"],
        type=told["ResourceType"],
        name=told.get("PhysicalResourceId") or told["LogicalResourceId"],
        replaced=told.get("Replacement", "False") != "False",
    )


def _name(logical: str, properties: Mapping[str, Any]) -> str:
    named = (value for key, value in properties.items() if key.endswith(("Name", "UserId", "GroupId")))
    return next(
        (value for value in named if isinstance(value, str) and not value.startswith("com.")), logical
    )
