"""What to do where AWS refuses, or cannot be reached.

Pure. In: a `CloudError`. Out: one sentence. Must not guess: what is not known has no remedy but AWS's own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphlambda.errors import CloudError

DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}
)

_REMEDIES = (
    (
        frozenset({"NoCredentialsError", "PartialCredentialsError"}),
        "No AWS credentials are found: `aws configure`, `aws sso login`, or set AWS_PROFILE",
    ),
    (
        frozenset(
            {
                "CredentialRetrievalError",
                "ExpiredToken",
                "ExpiredTokenException",
                "SSOTokenLoadError",
                "TokenRetrievalError",
                "UnauthorizedSSOTokenError",
            }
        ),
        "The AWS credentials have expired: `aws sso login`, or whatever made them",
    ),
    (
        frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"}),
        "AWS does not know these credentials, or not in this partition: see AWS_PROFILE and `aws configure list`",
    ),
    (
        frozenset(
            {"InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
        ),
        "The secret key is wrong, or this machine's clock: `timedatectl` shows it, `graphlambda doctor` measures it",
    ),
    (DENIED, "The credentials lack this right: `graphlambda aws policy` prints those that are needed"),
    (
        frozenset({"NoSuchBucket", "NoSuchKey", "404"}),
        "`graphlambda aws status` shows what there is; `graphlambda aws init` makes what is missing",
    ),
    (
        frozenset(
            {
                "ConnectTimeoutError",
                "ConnectionClosedError",
                "EndpointConnectionError",
                "ProxyConnectionError",
                "ReadTimeoutError",
                "SSLError",
            }
        ),
        "Is the network up? HTTPS_PROXY, AWS_CA_BUNDLE and AWS_ENDPOINT_URL say how AWS is reached",
    ),
)


def remedy(error: CloudError) -> str:
    """Return what a user can do about an error."""
    for codes, told in _REMEDIES:
        if error.code in codes:
            return told
    return "`graphlambda doctor` looks at what may be wrong"
