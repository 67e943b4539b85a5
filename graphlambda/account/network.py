"""Where in a VPC functions and their cache are put: what was given, and for the rest what is found.

In: an account, ids as far as they were given. Out: a `Vpc`. Changes nothing.

Sources: AWS, "Gateway endpoints for Amazon S3"; ElastiCache, "Networking" (use1-az3 has none).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphlambda.account.choices import Vpc
from graphlambda.deployer.names import TAG
from graphlambda.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphlambda.account.aws import Account
    from graphlambda.deployer.names import Names

MOST_SUBNETS = 3
WITHOUT_CACHES = frozenset({"use1-az3"})
"""Availability zones, by id, that have no serverless caches."""


def find(
    account: Account, names: Names, *, vpc: str, subnets: Sequence[str], security_groups: Sequence[str]
) -> Vpc:
    """Return a place in the VPC of given subnets, in a given VPC, or in the account's default one.

    Raises:
        CloudError: EC2 refuses to say.
        ConfigError: there is no such place; the message says what to give.
    """
    there = _subnets(account, vpc or _default(account, subnets), subnets)
    place = {each["VpcId"] for each in there}
    if len(place) != 1:
        raise ConfigError(f"--subnet: they must be of one VPC, not of {', '.join(sorted(place)) or 'none'}")
    found = (each["SubnetId"] for each in there)
    (inside,) = place
    return Vpc(
        id=inside,
        subnets=tuple(sorted(found)),
        security_groups=tuple(security_groups),
        route_tables=_without_s3(account, names, inside, [each["SubnetId"] for each in there]),
        s3_prefixes="" if security_groups else _s3_prefixes(account, names),
    )


def _default(account: Account, subnets: Sequence[str]) -> str:
    if subnets:
        return ""
    found = account.ask("ec2", "describe_vpcs", Filters=[_filter("is-default", "true")])["Vpcs"]
    if not found:
        raise ConfigError(
            f"{account.region} has no default VPC: give --vpc vpc-…, or --subnet subnet-… for each availability zone"
        )
    return str(found[0]["VpcId"])


def _subnets(account: Account, vpc: str, wanted: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the subnets that were given, or of each of three zones the one with most addresses left."""
    if wanted:
        return [*account.pages("ec2", "describe_subnets", "Subnets", SubnetIds=list(wanted))]
    all_of_them = account.pages("ec2", "describe_subnets", "Subnets", Filters=[_filter("vpc-id", vpc)])
    best: dict[str, Mapping[str, Any]] = {}
    for each in sorted(
        all_of_them, key=lambda subnet: (subnet["AvailableIpAddressCount"], subnet["SubnetId"])
    ):
        if each["AvailabilityZoneId"] not in WITHOUT_CACHES:
            best[each["AvailabilityZoneId"]] = each
    if not best:
        raise ConfigError(f"{vpc} has no subnet that may hold a cache: give --subnet subnet-…")
    return [best[zone] for zone in sorted(best)[:MOST_SUBNETS]]


def _without_s3(account: Account, names: Names, vpc: str, subnets: Iterable[str]) -> tuple[str, ...]:
    """Return the subnets' route tables that have no gateway endpoint to S3 but ours."""
    of_vpc = [_filter("vpc-id", vpc)]
    tables = [*account.pages("ec2", "describe_route_tables", "RouteTables", Filters=of_vpc)]
    links = [(link, table["RouteTableId"]) for table in tables for link in table["Associations"]]
    main = [table for link, table in links if link.get("Main")]
    by_subnet = {link["SubnetId"]: table for link, table in links if "SubnetId" in link}
    needed = {table for subnet in subnets for table in [by_subnet.get(subnet), *main] if table}
    ways = [*of_vpc, _filter("service-name", f"com.amazonaws.{names.region}.s3")]
    having = {
        table
        for endpoint in account.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=ways)
        if {"Key": TAG, "Value": names.deployment} not in endpoint.get("Tags", ())
        for table in endpoint.get("RouteTableIds", ())
    }
    return tuple(sorted(needed - having))


def _s3_prefixes(account: Account, names: Names) -> str:
    wanted = [_filter("prefix-list-name", f"com.amazonaws.{names.region}.s3")]
    found = [*account.pages("ec2", "describe_managed_prefix_lists", "PrefixLists", Filters=wanted)]
    if not found:
        raise ConfigError(
            f"EC2 has no prefix list of S3 in {names.region}: give --security-group sg-…, which lets functions reach S3"
        )
    return str(found[0]["PrefixListId"])


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Values": [value]}
