"""What secrets look like in a text, and texts without them.

In: texts, names. Out: which kind of secret; the text as people may see it. Must not import anything of ours: error
messages are masked everywhere.
"""

from __future__ import annotations

import re

NAMED = re.compile(
    r"(?:.*[_.-])?(?:secret|secret_?(?:access_?)?key|client_?secret|passw(?:or)?d|account_?key|api_?key|sas_?token"
    r"|session_?token|(?:access|refresh|auth)_?token|connection_?string|credential)",
    re.IGNORECASE,
)
"""What a setting is called whose value is a secret: of fsspec, s3fs, adlfs, gcsfs, obstore, environment variables."""

PATTERNS = {
    "a storage account's key": re.compile(r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}"),
    "a shared access signature": re.compile(r"\bsig=[A-Za-z0-9%+/_-]{40,}={0,2}"),
    "a signed URL": re.compile(r"X-(?:Amz|Goog)-Signature=[0-9a-fA-F]{40,}"),
    "a URL with a password": re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@"),
    "an access token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,}|xox[abpr]-[\w-]{20,})"),
}

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL)
_SECRET_KEY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/])")
_AFTER_NAME = re.compile(
    r"(?P<name>(?P<quote>['\"]?)\b[\w.-]*(?:secret|passw|token|_key|apikey|connection|credential)\w*(?P=quote)\s*[:=]\s*)"
    r"(?P<mark>['\"])[^'\"]+(?P=mark)",
    re.IGNORECASE,
)
_INSTEAD = "(not shown)"


def pattern_in(text: str) -> str | None:
    """Return which kind of secret is in a text by its form, or None."""
    return next((kind for kind, pattern in PATTERNS.items() if pattern.search(text)), None)


def masked(text: str) -> str:
    """Return a text for people, such as a `repr`, without what may be a secret in it; rather too much than too little."""
    for pattern in (*PATTERNS.values(), _PRIVATE_KEY):
        text = pattern.sub(_INSTEAD, text)
    text = _AFTER_NAME.sub(rf"\g<name>\g<mark>{_INSTEAD}\g<mark>", text)
    return _SECRET_KEY.sub(lambda found: _INSTEAD if _is_mixed(found.group()) else found.group(), text)


def _is_mixed(text: str) -> bool:
    return any(map(str.islower, text)) and any(map(str.isupper, text)) and any(map(str.isdigit, text))
