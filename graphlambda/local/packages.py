"""Where the zip of a function or layer comes from: the request itself, or an object of S3 that lies in a folder here.

In: `Code` or `Content` of a request. Out: the zip's bytes, or Lambda's refusal. Must not reach S3: whoever has the objects
puts them there (`graphlambda.testing.account` fetches what a request names).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

from graphlambda.local import limits
from graphlambda.local.answers import ServiceError, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def package(code: Mapping[str, Any], operation: str, objects: Path | None) -> bytes:
    """Return the bytes of the zip that a request carries, or names.

    Raises:
        ServiceError: there is none, it is no base64, or larger than a request may carry.
    """
    if objects is not None and code.get("S3Bucket"):
        return _object(objects, str(code["S3Bucket"]), str(code.get("S3Key", "")))
    text = code.get("ZipFile")
    if not isinstance(text, str) or not text:
        raise invalid("Please provide the zip itself (ZipFile): the local Lambda reads none from S3.")
    if len(text) > -(-limits.ZIP_BYTES // 3) * 4:
        raise ServiceError(
            413,
            "RequestTooLargeException",
            f"Request must be smaller than {limits.CONTROL_BYTES} bytes for the {operation} operation",
        )
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ServiceError(400, "SerializationException", "ZipFile is not base64") from error


def object_name(bucket: str, key: str) -> str:
    """Return what an object is called in a folder of them: names of S3 may lead anywhere."""
    return hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()


def _object(objects: Path, bucket: str, key: str) -> bytes:
    try:
        return (objects / object_name(bucket, key)).read_bytes()
    except FileNotFoundError as error:
        raise invalid(
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: "
            f"There is no object s3://{bucket}/{key}"
        ) from error
