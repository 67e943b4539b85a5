"""A service for a whole module, boto3 clients for it, and functions made from source text."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from graphlambda.local import LocalLambda, LocalSettings, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


def boto(service: LocalLambda, read_timeout_s: float = 60.0) -> Any:
    """Return a plain boto3 client that repeats nothing."""
    return boto3.client(
        "lambda",
        endpoint_url=service.endpoint,
        region_name="us-east-1",
        aws_access_key_id=service.credentials.access_key,
        aws_secret_access_key=service.credentials.secret_key,
        config=Config(parameter_validation=False, retries={"max_attempts": 0}, read_timeout=read_timeout_s),
    )


class Account:
    """One service as its user has it."""

    ROLE = "arn:aws:iam::000000000000:role/local"

    def __init__(self, service: LocalLambda) -> None:
        self.service = service
        self.api = boto(service)
        self._made = 0

    def make(self, source: str, **members: Any) -> str:
        """Create a function whose handler is `handle` of this source; return its name."""
        self._made += 1
        name = str(members.pop("FunctionName", f"f{self._made}-{id(self):x}"))
        defaults = {
            "Runtime": f"python3.{sys.version_info.minor}",
            "Role": self.ROLE,
            "Handler": "app.handle",
            "Code": {"ZipFile": self.zipped({"app.py": source})},
            "Timeout": 20,
            "MemorySize": 256,
        }
        self.api.create_function(FunctionName=name, **{**defaults, **members})
        return name

    def reply(self, name: str, payload: Any = None, **members: Any) -> dict[str, Any]:
        """Invoke a function; return boto3's answer with the payload read."""
        answer = self.api.invoke(FunctionName=name, Payload=json.dumps(payload).encode(), **members)
        return {**answer, "Payload": answer["Payload"].read()}

    def value(self, name: str, payload: Any = None) -> Any:
        """Invoke a function that works; return what it returned."""
        answer = self.reply(name, payload)
        assert "FunctionError" not in answer, answer["Payload"]
        return json.loads(answer["Payload"])

    def error(self, name: str, payload: Any = None) -> dict[str, Any]:
        """Invoke a function that fails; return Lambda's description of it."""
        answer = self.reply(name, payload)
        assert answer["FunctionError"] == "Unhandled"
        return dict(json.loads(answer["Payload"]))

    @staticmethod
    def zipped(files: Mapping[str, str | bytes]) -> bytes:
        """Return a zip with these files."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return content.getvalue()

    @staticmethod
    def refusal(call: Callable[..., Any], *arguments: Any, **members: Any) -> tuple[int, str, str]:
        """Return status, code and message (or reason) of the error that a boto3 call raises."""
        with pytest.raises(ClientError) as caught:
            call(*arguments, **members)
        answer: dict[str, Any] = dict(caught.value.response)
        error = answer["Error"]
        return (
            answer["ResponseMetadata"]["HTTPStatusCode"],
            error["Code"],
            answer.get("Reason", error["Message"]),
        )

    @staticmethod
    def wait_for(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Return when a condition holds; fail when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> LocalSettings:
    return LocalSettings(
        state=tmp_path_factory.mktemp("local"), concurrency=3, environments=4, event_retry_s=(0.05, 0.05)
    )


@pytest.fixture(scope="module")
def account(settings: LocalSettings) -> Iterator[Account]:
    with start(settings) as service:
        yield Account(service)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Account]]:
    """Return what starts further services, with a state of the test's own unless told otherwise."""
    services: list[LocalLambda] = []

    def open_(**members: Any) -> Account:
        given = LocalSettings(state=members.pop("state", tmp_path / "state"))
        services.append(start(replace(given, **members)))
        return Account(services[-1])

    yield open_
    for service in services:
        service.close()
