"""The root key of a deployment: an encrypted object in its bucket that functions cannot read.

In: a stack, an account. Out: the object, made once by whoever comes first. Must not print or return a key, nor replace one:
what is signed with it would be lost.
"""

from __future__ import annotations

from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from graphlambda.errors import CloudError
from graphlambda.runtime.frame import KEY_BYTES

if TYPE_CHECKING:
    from graphlambda.account.aws import Account
    from graphlambda.account.stack import Stack
    from graphlambda.account.stacks import Patience

_PASSING = frozenset({"ConditionalRequestConflict", "NoSuchBucket", "OperationAborted"})
"""What S3 says while somebody else writes the key, and of a bucket that was made a moment ago."""

_IS_THERE = frozenset({"PreconditionFailed", "412"})


def write(account: Account, stack: Stack, patience: Patience) -> bool:
    """Make the root key; False where it is there.

    Raises:
        CloudError: S3 refuses.
    """
    place = {"Bucket": stack.bucket, "Key": stack.root_key, "ExpectedBucketOwner": stack.names.account}
    encryption: dict[str, Any] = {"ServerSideEncryption": "AES256"}
    if stack.kms_key_arn:
        encryption = {
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": stack.kms_key_arn,
            "BucketKeyEnabled": True,
        }
    made = {"Body": token_bytes(KEY_BYTES), "IfNoneMatch": "*", **place, **encryption}
    try:
        patience.through(lambda: account.ask("s3", "put_object", **made), _PASSING)
    except CloudError as error:
        if error.code in _IS_THERE:
            return False
        raise
    return True
