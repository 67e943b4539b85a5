"""What AWS refuses has a remedy that names a command, and one only."""

from __future__ import annotations

from collections import Counter

import pytest

from graphlambda.account.remedies import _REMEDIES, remedy
from graphlambda.errors import CloudError


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("NoCredentialsError", "`aws configure`"),
        ("ExpiredToken", "`aws sso login`"),
        ("UnrecognizedClientException", "`aws configure list`"),
        ("RequestTimeTooSkewed", "`timedatectl`"),
        ("AccessDenied", "`graphlambda aws policy`"),
        ("NoSuchBucket", "`graphlambda aws init`"),
        ("EndpointConnectionError", "HTTPS_PROXY"),
        ("SomethingNew", "`graphlambda doctor`"),
    ],
)
def test_a_refusal_has_a_remedy(code: str, told: str) -> None:
    assert told in remedy(CloudError("describe_stacks", code, "no"))


def test_each_code_has_one_remedy() -> None:
    codes = Counter(code for known, _ in _REMEDIES for code in known)
    assert [code for code, count in codes.items() if count > 1] == []
