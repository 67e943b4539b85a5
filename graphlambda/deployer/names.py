"""The names of all that a deployment has in an account, and their ARNs: policies, templates, calls and sweeps read them here.

Pure. In: a deployment's id and where it is. Out: names. Must not know whether any of it exists.
Sources for what names may be: AWS, CreateFunction, PublishLayerVersion; S3, "Bucket naming rules"; IAM, "Names".
"""

from __future__ import annotations

from dataclasses import dataclass

KEYS, ARTIFACTS, MANIFESTS, LEASES = "keys", "artifacts", "manifests", "leases"
RUNS, VALUES = "runs", "values"
"""What lies below a deployment's prefix in its bucket. Functions read and write values alone; who only runs, also leases and runs."""

TAG = "graphlambda"
"""On all that we make and AWS lets us tag; its value is the deployment's id."""


def log_group(deployment: str) -> str:
    """Return the one log group of a deployment's functions: one to keep, to search, to delete."""
    return f"/graphlambda/{deployment}"


def owned(deployment: str, name: str) -> bool:
    """Tell whether a function or layer carries this deployment's id."""
    return name.startswith(f"gl-{deployment}-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """One deployment in one account and region."""

    deployment: str
    """1 to 8 lower-case letters or digits."""

    account: str
    """12 digits."""

    region: str
    partition: str = "aws"
    """`aws`, `aws-cn`, `aws-us-gov`: what ARNs begin with."""

    @property
    def stack(self) -> str:
        """The CloudFormation stack that made the rest."""
        return f"graphlambda-{self.deployment}"

    @property
    def bucket(self) -> str:
        """The bucket that the stack makes; an administrator may give another."""
        return f"graphlambda-{self.deployment}-{self.account}-{self.region}"

    @property
    def prefix(self) -> str:
        """Below which everything of ours lies in a bucket; no slash at its ends."""
        return f"graphlambda/{self.deployment}"

    @property
    def role(self) -> str:
        """The role that functions run under."""
        return f"graphlambda-{self.deployment}-function"

    @property
    def policy(self) -> str:
        """The policy of whoever deploys and runs."""
        return f"graphlambda-{self.deployment}-deployer"

    @property
    def runner_policy(self) -> str:
        """The policy of whoever only runs."""
        return f"graphlambda-{self.deployment}-runner"

    @property
    def cache(self) -> str:
        """The cache in ElastiCache, where there is one; its user and user group are named as it is."""
        return f"graphlambda-{self.deployment}"

    @property
    def log_group(self) -> str:
        """The log group of all functions."""
        return log_group(self.deployment)

    @property
    def role_arn(self) -> str:
        """ARN of the functions' role."""
        return f"arn:{self.partition}:iam::{self.account}:role/{self.role}"

    @property
    def functions_arn(self) -> str:
        """Pattern of the ARNs of this deployment's functions, and of no other's."""
        return self._lambda(f"function:gl-{self.deployment}-*")

    @property
    def layers_arn(self) -> str:
        """Pattern of the ARNs of this deployment's layers, and of no other's; versions end in `:*` beside it."""
        return self._lambda(f"layer:gl-{self.deployment}-*")

    @property
    def log_group_arn(self) -> str:
        """ARN of the log group; its streams end in `:*` beside it."""
        return f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:{self.log_group}"

    @property
    def stack_arn(self) -> str:
        """Pattern of the stack's ARN, which ends in digits of AWS's."""
        return f"arn:{self.partition}:cloudformation:{self.region}:{self.account}:stack/{self.stack}/*"

    @property
    def cache_arns(self) -> tuple[str, str]:
        """ARNs of the cache and of its user: a connection needs a right on both."""
        start = f"arn:{self.partition}:elasticache:{self.region}:{self.account}"
        return f"{start}:serverlesscache:{self.cache}", f"{start}:user:{self.cache}"

    def function_arn(self, function: str) -> str:
        """Return the ARN of one function."""
        return self._lambda(f"function:{function}")

    def bucket_arn(self, bucket: str = "") -> str:
        """Return the ARN of a bucket, ours by default."""
        return f"arn:{self.partition}:s3:::{bucket or self.bucket}"

    def objects_arn(self, *below: str, bucket: str = "") -> str:
        """Return the pattern of the ARNs of all objects below a part of our prefix."""
        return "/".join((self.bucket_arn(bucket), self.prefix, *below, "*"))

    def _lambda(self, resource: str) -> str:
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:{resource}"
