"""AWS's own command line on the local Lambda: nothing of ours stands between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.local.conftest import Account

AWS = Path(sys.executable).with_name("aws")


def aws(account: Account, *words: str | Path) -> Any:
    """Return what `aws lambda …` prints, read as JSON."""
    keys = account.service.credentials
    variables = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
    }
    command = [AWS, "lambda", *words, "--endpoint-url", account.service.endpoint, "--output", "json"]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_function_is_made_listed_and_invoked_by_the_aws_command(account: Account, tmp_path: Path) -> None:
    source = "def handle(event, context):\n    return {'doubled': 2 * event['number']}\n"
    package, answer = tmp_path / "code.zip", tmp_path / "answer.json"
    package.write_bytes(account.zipped({"app.py": source}))
    made = aws(
        account, "create-function", "--function-name", "by-cli", "--runtime", f"python3.{sys.version_info.minor}",
        "--role", account.ROLE, "--handler", "app.handle", "--zip-file", f"fileb://{package}",
    )  # fmt: skip
    assert made["State"] == "Pending"
    listed = aws(account, "list-functions")["Functions"]
    assert [each["FunctionName"] for each in listed] == ["by-cli"]
    told = aws(
        account, "invoke", "--function-name", "by-cli", "--payload", '{"number": 21}', "--log-type", "Tail", answer
    )  # fmt: skip
    assert (told["StatusCode"], told["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads(answer.read_text()) == {"doubled": 42}
