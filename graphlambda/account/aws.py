"""The account through boto3: CloudFormation, S3, IAM, STS, under the user's own chain of credentials.

In: names. Out: what AWS says, in our nouns. All of AWS's errors become `CloudError` here. Decides nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from graphlambda.account.stack import Stack, read
from graphlambda.deployer.names import Names
from graphlambda.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})
"""Few calls, all of which may be repeated: botocore's own backoff does."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account and region."""

    session: Any
    """boto3's; makes a client of each service that is asked for."""

    region: str

    def client(self, service: str) -> Any:
        """Return boto3's client of a service."""
        return self.session.client(service, region_name=self.region, config=_CONFIG)

    def names(self, deployment: str) -> Names:
        """Return a deployment's names in the account that the credentials belong to.

        Raises:
            CloudError: there are no credentials, or AWS refuses them.
        """
        with told("get_caller_identity"):
            answer = self.client("sts").get_caller_identity()
        partition = answer["Arn"].split(":")[1]
        return Names(
            deployment=deployment, account=answer["Account"], region=self.region, partition=partition
        )

    def stack(self, names: Names) -> Stack | None:
        """Return what a deployment stands on; None where there is no stack of its name.

        Raises:
            CloudError: CloudFormation refuses to say.
            StackError: it is not ready, or not a deployment's.
        """
        try:
            with told(f"describe_stacks {names.stack}"):
                answer = self.client("cloudformation").describe_stacks(StackName=names.stack)
        except CloudError as error:
            if error.code == "ValidationError" and "does not exist" in error.message:
                return None
            raise
        return read(answer)


def account(region: str) -> Account:
    """Return the account of the user's own chain of credentials."""
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
