"""Who this client is to a cache that asks IAM.

In: a server's URL. Out: what signs for it, from the botocore session that boto3's calls use, too. Must not connect.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.runtime.identity import Keys


@lru_cache(maxsize=16)
def keys_at(url: str) -> Callable[[], Keys] | None:
    """Return what signs for this client at such a cache; None at other servers.

    Raises:
        ConfigError: there are no credentials.
    """
    if "iam" not in parse_qs(urlsplit(url).query):
        return None
    from botocore.session import get_session  # noqa: PLC0415  (for who has such a cache)

    from graphlambda.api.buckets import keys_of  # noqa: PLC0415

    named = f"rediss://{urlsplit(url).hostname}"  # the rest may hold a password
    return keys_of(get_session(), named)
