"""A Deployment on disk: what a person reads, and what a later session starts from.

In: a `Deployment` and a path. Out: JSON, written whole or not at all. Must not know where the functions are.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from graphlambda.deployer.functions import Deployment, Settings
from graphlambda.errors import DeployError

SCHEMA = 1
"""Version of the file's form; another one is refused, never guessed at."""


def save(deployment: Deployment, path: Path) -> None:
    """Write the manifest for its owner alone, in one step: a reader sees the old file or the new one."""
    body = {
        "schema": SCHEMA,
        "endpoint": deployment.endpoint,
        "settings": asdict(deployment.settings),
        "functions": dict(deployment.functions),
    }
    text = json.dumps(body | {"digest": _digest(body)}, indent=2, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        draft = Path(folder, path.name)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)


def load(path: Path) -> Deployment:
    """Return the deployment that a manifest describes; `created` is empty, since this made nothing.

    Raises:
        DeployError: the file is damaged, or of another version.
        FileNotFoundError: there is none.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return _read(body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DeployError(f"{path} is not a manifest of version {SCHEMA}: {error}. Deploy again") from error


def _read(body: dict[str, Any]) -> Deployment:
    digest = body.pop("digest")
    if body["schema"] != SCHEMA:
        raise ValueError(f"its version is {body['schema']!r}")
    if digest != _digest(body):
        raise ValueError("its content does not agree with its digest")
    return Deployment(
        functions=body["functions"],
        created=(),
        endpoint=body["endpoint"],
        settings=Settings(**body["settings"]),
    )


def _digest(body: dict[str, Any]) -> str:
    """Return what finds damage; it proves nothing about who wrote the file."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
