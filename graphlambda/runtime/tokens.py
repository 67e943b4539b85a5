"""What a serverless cache of ElastiCache takes as a password: a URL that IAM would let pass, signed for a quarter of an hour.

In: a cache's name, a user, keys. Out: a token. Must not keep it: each connection makes its own.

Source: AWS, "Authenticating with IAM" (ElastiCache User Guide): the cache's name in lower case stands for a host, user id and
user name are one, a session lasts 12 hours from its latest AUTH.
"""

from __future__ import annotations

from .sigv4 import presigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .identity import Keys

TOKEN_S = 900
"""How long a token opens connections; the most that is allowed."""

SESSION_S = 11 * 3600.0
"""After how long a connection says again who it is: within the 12 hours after which it would be cut."""

_SCHEME = "https://"


def token_of(cache: str, user: str, region: str, keys: Keys, now: float) -> str:
    """Return a token; `now` is in seconds since the epoch."""
    return presigned(
        f"{_SCHEME}{cache.lower()}/?Action=connect&User={user}&ResourceType=ServerlessCache",
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        token=keys.token,
        region=region,
        service="elasticache",
        now=now,
        expires_s=TOKEN_S,
    ).removeprefix(_SCHEME)
