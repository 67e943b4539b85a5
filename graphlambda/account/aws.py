"""The account through boto3: CloudFormation, S3, IAM, STS, EC2 … under the user's own chain of credentials.

In: a service, a method, its parameters. Out: AWS's answers. All of AWS's errors become `CloudError` here. Decides nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from graphlambda.account.stack import Stack, read
from graphlambda.deployer.aws import configured
from graphlambda.deployer.names import Names
from graphlambda.deployer.retry import paces_of
from graphlambda.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    user_agent_extra="graphlambda",
)
"""Few calls, all of which may be repeated: botocore's own backoff does."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account and region."""

    session: Any
    """boto3's; makes a client of each service that is asked for."""

    region: str
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str) -> Any:
        """Return boto3's client of a service; raises as `account` does."""
        if service not in self._clients:
            with configured():
                made = self.session.client(service, region_name=self.region, config=_CONFIG)
            self._clients.setdefault(service, made)
        return self._clients[service]

    def ask(self, service: str, method: str, **params: Any) -> Mapping[str, Any]:
        """Return what a service answers.

        Raises:
            CloudError: AWS refused, or could not be reached.
            ConfigError: the user's settings for AWS cannot be used.
        """
        with told(_named(method, params)):
            self._take_turn(service, method)
            answer: Mapping[str, Any] = getattr(self.client(service), method)(**params)
        return answer

    def pages(self, service: str, method: str, *keys: str, **params: Any) -> Iterator[Any]:
        """Yield what stands under some keys in each page of a service's answer; raises as `ask` does."""
        with told(_named(method, params)):
            for page in self.client(service).get_paginator(method).paginate(**params):
                self._take_turn(service, method)
                for key in keys:
                    yield from page.get(key, ())

    def names(self, deployment: str) -> Names:
        """Return a deployment's names in the account that the credentials belong to; raises as `ask` does."""
        answer = self.ask("sts", "get_caller_identity")
        partition = answer["Arn"].split(":")[1]
        return Names(
            deployment=deployment, account=answer["Account"], region=self.region, partition=partition
        )

    def described(self, stack: str) -> Mapping[str, Any] | None:
        """Return CloudFormation's answer for one stack, by name or id; None where there is none. Raises as `ask` does."""
        try:
            return self.ask("cloudformation", "describe_stacks", StackName=stack)
        except CloudError as error:
            if error.code == "ValidationError" and "does not exist" in error.message:
                return None
            raise

    def stack(self, names: Names) -> Stack | None:
        """Return what a deployment stands on; None where there is no stack of its name.

        Raises:
            CloudError: CloudFormation refuses to say.
            StackError: it is not ready, or not a deployment's.
        """
        answer = self.described(names.stack)
        return None if answer is None else read(answer)

    def _take_turn(self, service: str, method: str) -> None:
        """Wait for a turn where all calls of an account share a quota that is small and not raisable."""
        if service == "lambda":
            paces_of(self.client(service).meta.endpoint_url).wait(method)


def account(region: str) -> Account:
    """Return the account of the user's own chain of credentials.

    Raises:
        ConfigError: the user's settings for AWS cannot be used.
    """
    with configured():
        return Account(boto3.session.Session(botocore_session=get_session()), region)


@contextmanager
def told(call: str) -> Iterator[None]:
    """Turn boto3's errors into ours.

    Raises:
        CloudError: AWS refused, or could not be reached.
    """
    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        raise CloudError(call, details.get("Code", ""), details.get("Message", "")) from error
    except BotoCoreError as error:
        raise CloudError(call, type(error).__name__, str(error)) from error


def _named(method: str, params: Mapping[str, Any]) -> str:
    subjects = ("StackName", "Bucket", "FunctionName", "LayerName", "logGroupName", "RoleName")
    return " ".join([method, *(str(params[name]) for name in subjects if name in params)])
