"""The choices whose templates and policies are tested: together they have all that a template can hold."""

from __future__ import annotations

from graphlambda.account.choices import Choices, Vpc, grant
from graphlambda.deployer.names import Names

ACCOUNT, REGION = "123456789012", "eu-central-1"
NAMES = Names(deployment="z" * 8, account=ACCOUNT, region=REGION)
"""A deployment whose names are as long as they get."""

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:weather-AbCdEf"
SECRETS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/4321abcd-12ab-34cd-56ef-1234567890ab"
PARAMETER = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/weather/key"
VPC = Vpc(
    id="vpc-0123456789abcdef0",
    subnets=("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"),
    route_tables=("rtb-0123456789abcdef0",),
    s3_prefixes="pl-6ea54007",
)
PLAIN = Choices()
FULL = Choices(
    cache="valkey-public",
    permissions_boundary=f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    kms_key_arn=KEY,
    tags={"team": "climate"},
    data=(grant("s3://observations/era5"), grant("s3://results/2026/:rw"), grant("s3://everything")),
    secrets=(SECRET, PARAMETER, SECRETS_KEY),
    allow_vpc=True,
)
IN_A_VPC = Choices(cache="valkey-vpc", vpc=VPC)
OF_OTHERS = Choices(
    cache="valkey-vpc",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/theirs",
    bucket="theirs",
    vpc=Vpc(id=VPC.id, subnets=VPC.subnets, security_groups=("sg-0123456789abcdef0",)),
)
CASES = {"plain": PLAIN, "full": FULL, "in a VPC": IN_A_VPC, "of others": OF_OTHERS}
