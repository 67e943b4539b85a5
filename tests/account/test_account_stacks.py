"""What CloudFormation says of a stack's end: its reasons reach the user, and every wait has one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.account.stacks import (
    LAG_S,
    LONGEST_S,
    Change,
    Patience,
    Proposal,
    create,
    delete,
    propose,
    refuse_unready,
)
from graphlambda.account.template import template
from graphlambda.errors import CloudError, StackError
from tests.account.cases import NAMES, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STACK = f"arn:aws:cloudformation:{NAMES.region}:{NAMES.account}:stack/{NAMES.stack}/0-1"
EVENTS = [
    {
        "LogicalResourceId": NAMES.stack,
        "ResourceType": "AWS::CloudFormation::Stack",
        "ResourceStatus": "DELETE_IN_PROGRESS",
        "ResourceStatusReason": "The following resource(s) failed to create: [Bucket].",
    },
    {
        "LogicalResourceId": "FunctionRole",
        "ResourceType": "AWS::IAM::Role",
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": "Resource creation cancelled",
    },
    {
        "LogicalResourceId": "Bucket",
        "ResourceType": "AWS::S3::Bucket",
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": "graphlambda-zzzzzzzz already exists",
    },
]
"""As CloudFormation lists them: the last first."""


@dataclass
class Told:
    """An account in which CloudFormation says what a test wants."""

    states: list[str]
    """Of the stack, one a look; the last stays. An empty one: nothing is known of it."""

    change_set: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def ask(self, _service: str, method: str, **_: Any) -> Mapping[str, Any]:
        self.asked.append(method)
        answers = {
            "create_change_set": {"Id": "changes", "StackId": STACK},
            "describe_change_set": self.change_set,
        }
        return answers.get(method, {"StackId": STACK})

    def described(self, _stack: str) -> Mapping[str, Any] | None:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if not state:
            return None
        return {"Stacks": [{"StackName": NAMES.stack, "StackId": STACK, "StackStatus": state}]}

    def pages(self, *_: str, **__: str) -> Iterator[Any]:
        yield from EVENTS


@dataclass
class Clock:
    """Jumps to the end of every wait."""

    now_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)

    def patience(self) -> Patience:
        return Patience(lambda: self.now_s, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


def test_what_failed_first_is_told_with_its_reason_and_what_was_cancelled_is_not() -> None:
    account: Any = Told(["", "CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"])
    with pytest.raises(StackError) as raised:
        create(account, NAMES, template(NAMES, PLAIN), Clock().patience())
    assert str(raised.value) == (
        "CloudFormation ended with DELETE_COMPLETE: Bucket (AWS::S3::Bucket): graphlambda-zzzzzzzz already exists"
    )


def test_a_stack_that_never_ends_is_given_up_with_its_state() -> None:
    clock = Clock()
    account: Any = Told(["CREATE_IN_PROGRESS"])
    with pytest.raises(StackError, match="is still CREATE_IN_PROGRESS after 60 minutes"):
        create(account, NAMES, template(NAMES, PLAIN), clock.patience())
    assert LONGEST_S < sum(clock.slept_s) < LONGEST_S + 11
    assert (min(clock.slept_s), max(clock.slept_s)) == (0.1, 10.0)


def test_a_stack_that_cannot_be_deleted_says_why() -> None:
    account: Any = Told(["CREATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED"])
    with pytest.raises(StackError, match=r"cannot be deleted \(DELETE_FAILED\): Bucket"):
        delete(account, NAMES, Clock().patience())


def test_what_would_be_lost_is_told_before_it_is() -> None:
    changes = [
        {
            "ResourceChange": {
                "Action": "Modify",
                "LogicalResourceId": "Bucket",
                "PhysicalResourceId": "ours",
                "ResourceType": "AWS::S3::Bucket",
                "Replacement": "True",
            }
        },
        {
            "ResourceChange": {
                "Action": "Add",
                "LogicalResourceId": "Cache",
                "ResourceType": "AWS::ElastiCache::ServerlessCache",
            }
        },
    ]
    account: Any = Told(["CREATE_COMPLETE"], {"Status": "CREATE_COMPLETE", "Changes": changes})
    assert propose(account, NAMES, template(NAMES, PLAIN), Clock().patience()) == Proposal(
        id="changes",
        stack=STACK,
        changes=(
            Change(action="Modify", type="AWS::S3::Bucket", name="ours", replaced=True),
            Change(action="Add", type="AWS::ElastiCache::ServerlessCache", name="Cache"),
        ),
    )
    assert "execute_change_set" not in account.asked


def test_a_change_set_that_fails_leaves_none_behind_and_says_why() -> None:
    account: Any = Told([""], {"Status": "FAILED", "StatusReason": "no rights"})
    with pytest.raises(StackError, match="cannot be said: no rights"):
        propose(account, NAMES, template(NAMES, PLAIN), Clock().patience())
    assert account.asked[-1] == "delete_change_set"


@pytest.mark.parametrize(
    ("state", "remedy"), [("ROLLBACK_COMPLETE", "aws destroy"), ("UPDATE_IN_PROGRESS", "try again")]
)
def test_a_stack_that_cannot_be_changed_names_what_to_do(state: str, remedy: str) -> None:
    with pytest.raises(StackError, match=remedy):
        refuse_unready(NAMES, state)


def refusing(*codes: str) -> Callable[[], str]:
    """Return what is refused so, one code after the other, and then answered."""
    left = list(codes)

    def ask() -> str:
        if left:
            raise CloudError("put_object", left.pop(0), "try again")
        return "done"

    return ask


def test_what_passes_is_asked_again_and_what_does_not_is_named_at_once() -> None:
    clock = Clock()
    assert clock.patience().through(refusing("Lag", "Lag"), frozenset({"Lag"})) == "done"
    assert len(clock.slept_s) == 2
    with pytest.raises(CloudError, match="Denied"):
        clock.patience().through(refusing("Denied"), frozenset({"Lag"}))
    with pytest.raises(CloudError, match="Lag"):
        clock.patience().through(refusing(*["Lag"] * 1000), frozenset({"Lag"}))
    assert LAG_S < clock.now_s < 2 * LAG_S


def test_what_is_gone_and_still_seen_is_looked_at_again_within_a_bound() -> None:
    clock, seen = Clock(), ["bucket", "bucket", ""]
    assert clock.patience().settled(lambda: seen.pop(0), "".__eq__) == ""
    assert clock.patience().settled(lambda: "bucket", "".__eq__) == "bucket"
    assert LAG_S < clock.now_s < 2 * LAG_S


def test_of_two_that_make_a_stack_at_once_one_is_told_so() -> None:
    class Taken(Told):
        def ask(self, _service: str, method: str, **_: Any) -> Mapping[str, Any]:
            raise CloudError(method, "AlreadyExistsException", "it is there")

    account: Any = Taken([""])
    with pytest.raises(StackError, match=r"somebody else makes graphlambda-.* at this moment"):
        create(account, NAMES, template(NAMES, PLAIN), Clock().patience())
