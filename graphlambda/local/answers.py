"""What the service answers: Answer, and ServiceError for Lambda's own refusals.

In: nothing. Out: statuses, bodies and headers, in the words of the Lambda API reference.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphlambda.errors import LocalLambdaError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class ServiceError(LocalLambdaError):
    """A request that Lambda refuses, with the name and status that it gives."""

    def __init__(self, status: int, code: str, message: str, **fields: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def answer(self) -> Answer:
        """Return the error as botocore and the AWS CLI read it."""
        owner = "Service" if self.status >= 500 else "User"
        body = {"Type": owner, "Message": self.message, "message": self.message, **self.fields}
        return Answer(self.status, json.dumps(body).encode(), (("x-amzn-ErrorType", self.code),))


def document(status: int, content: Mapping[str, Any], *headers: tuple[str, str]) -> Answer:
    """Return an answer with a JSON body; members that are None are left out."""
    present = {key: value for key, value in content.items() if value is not None}
    return Answer(status, json.dumps(present, separators=(",", ":")).encode(), headers)


def invalid(message: str) -> ServiceError:
    """Return the error for a parameter that Lambda would not take."""
    return ServiceError(400, "InvalidParameterValueException", message)


def not_validated(member: str, value: object, constraint: str) -> ServiceError:
    """Return the error for a parameter outside of the API's own model."""
    return ServiceError(
        400,
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}",
    )


def not_found(message: str) -> ServiceError:
    """Return the error for a resource that does not exist."""
    return ServiceError(404, "ResourceNotFoundException", message)


def throttled(reason: str) -> ServiceError:
    """Return the 429 with its reason, as https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html has it."""
    return ServiceError(429, "TooManyRequestsException", "Rate Exceeded.", Reason=reason)
