"""Who this function is to AWS: the one place of the runtime that reads credentials from the environment.

In: the variables that Lambda sets for a function's role, and the local Lambda for the client's identity. Out: keys to
sign with. Must not keep them: an environment that is restored or lives long is given new ones, so each signature asks
anew. They stay out of requests, since what is in a request may be logged and outlives the identity.
"""

from __future__ import annotations

import os

from .faults import ValueStoreError


class Keys:
    """What requests are signed with."""

    __slots__ = ("access_key", "secret_key", "token")

    def __init__(self, access_key: str, secret_key: str, token: str | None = None) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token
        """Of a session's keys; None for keys that last."""

    def __repr__(self) -> str:
        return f"Keys({self.access_key!r})"


def function_keys() -> Keys:
    """Return this function's own keys.

    Raises:
        ValueStoreError: it has none.
    """
    variables = os.environ
    try:
        return Keys(
            variables["AWS_ACCESS_KEY_ID"],
            variables["AWS_SECRET_ACCESS_KEY"],
            variables.get("AWS_SESSION_TOKEN") or None,
        )
    except KeyError as error:
        raise ValueStoreError(
            f"this function has no AWS identity to reach its store with: {error.args[0]} is not set"
        ) from None
