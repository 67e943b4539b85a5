"""The names of a deployment: within what AWS allows, and no other deployment's."""

from __future__ import annotations

import re

import pytest

from graphlambda.deployer.names import Names, owned

LONGEST = Names(deployment="z" * 8, account="123456789012", region="ap-southeast-3")
"""A deployment whose names are as long as they get."""


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        (LONGEST.stack, r"[a-zA-Z][-a-zA-Z0-9]{0,127}"),
        (LONGEST.bucket, r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
        (LONGEST.role, r"[\w+=,.@-]{1,64}"),
        (LONGEST.policy, r"[\w+=,.@-]{1,128}"),
        (LONGEST.cache, r"[a-z][a-z0-9-]{0,39}"),
        (LONGEST.log_group, r"[.\-_/#A-Za-z0-9]{1,512}"),
    ],
)
def test_the_longest_names_are_names_that_aws_allows(name: str, allowed: str) -> None:
    assert re.fullmatch(allowed, name)


def test_a_deployment_owns_what_its_whole_id_names_and_nothing_else() -> None:
    assert owned("team1", "gl-team1-mean-0123456789abcdef0123")
    assert not owned("team1", "gl-team12-mean-0123456789abcdef0123")
    assert not owned("team1", "gl-team-mean-0123456789abcdef0123")


def test_patterns_end_in_the_whole_id_too() -> None:
    names = Names(deployment="team1", account="123456789012", region="eu-central-1")
    assert (
        names.functions_arn,
        names.layers_arn,
        names.log_group_arn,
        names.objects_arn("values"),
        names.role_arn,
    ) == (
        "arn:aws:lambda:eu-central-1:123456789012:function:gl-team1-*",
        "arn:aws:lambda:eu-central-1:123456789012:layer:gl-team1-*",
        "arn:aws:logs:eu-central-1:123456789012:log-group:/graphlambda/team1",
        "arn:aws:s3:::graphlambda-team1-123456789012-eu-central-1/graphlambda/team1/values/*",
        "arn:aws:iam::123456789012:role/graphlambda-team1-function",
    )
