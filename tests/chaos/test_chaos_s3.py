"""Runs whose values lie in a real S3 server, behind a connection that resets, cuts short, and asks to slow down."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from graphlambda.runtime.s3 import S3Client
from graphlambda.store.listing import objects
from graphlambda.store.s3 import S3Store
from graphlambda.testing.chaos import scenario
from graphlambda.testing.chaos_ground import Ground, Unrest
from graphlambda.testing.chaos_play import play
from graphlambda.testing.troubled import Trouble, troubled
from tests.chaos.test_chaos import subject

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.testing.chaos_figures import Figures
    from graphlambda.testing.s3_servers import S3Server

EXCHANGES = 2_000


@pytest.mark.parametrize("number", [1, 4, 10, 13])
def test_whatever_happens_on_the_way_to_s3_a_run_gives_dasks_values_or_the_error_that_it_may_end_with(
    number: int, seaweed: S3Server, tmp_path: Path, figures: Figures
) -> None:
    unrest = Unrest(Random(number))
    befalls = [unrest() for _ in range(EXCHANGES)]
    with troubled(seaweed.endpoint) as proxy:
        proxy.give(
            Trouble.UNREACHED if each is Trouble.SILENT else each for each in befalls
        )  # 20 s of silence each
        location = replace(seaweed.location(f"chaos-{number}"), endpoint=proxy.url)
        bucket = location.objects(lambda: seaweed.keys, pause=lambda _seconds: None)
        ground = Ground(
            store=lambda _clock: S3Store(location, lambda: seaweed.keys, pause=lambda _seconds: None),
            left=lambda: [found.key for found in objects(bucket, "")],
            clients=lambda _spec: S3Client(bucket),
            troubles=lambda: proxy.seen,
        )
        drawn = replace(scenario(number), inline_bytes=0)
        figures.add(play(drawn, subject(drawn, tmp_path), ground))
