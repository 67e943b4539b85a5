"""What the client itself costs: invocations over HTTP, answered by a stub in a process beside it that runs nothing.

    python -m benchmarks.scheduler [cases …] [--quick]

Prints the figures of each case, then the bars and whether they are kept; exits with 1 where one is missed. Each case has a
process of its own: its peak of memory would have that of the one before in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.synthetic import chains, independent, reduction
from benchmarks.text import verdict
from graphlambda.runtime.frame import encode
from graphlambda.runtime.wire import INLINE_BATCH, VERSION, context
from graphlambda.scheduler import Limits, begin
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.http import Credentials, HttpInvoker
from graphlambda.store import FileStore
from graphlambda.testing.stub import Stub, stub

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphlambda.compiler.program import Program

RATE = 5_000
IN_FLIGHT_BYTES = 1_000_000_000
TASK_US = 50.0
HOP_S = 0.020
"""The bars: invocations a second, peak memory with 10,000 in flight, CPU a task of a million, completion to successor."""

REGION = "us-east-1"
_LIMIT_S = 900
"""After which a case is given up."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement."""

    measure: Callable[[int], dict[str, float]]
    """Takes a size, returns figures."""

    size: int
    quick: int
    told: Callable[[dict[str, float]], str]
    kept: Callable[[dict[str, float]], bool] | None = None
    """Whether the bar is kept; None where there is none."""

    bar: str = ""


def rate(tasks: int) -> dict[str, float]:
    """Submit and complete invocations of one task each, 64 at once."""
    with stub() as to:
        _run(independent(tasks // 10), to, batch=1)
        return {**_run(independent(tasks), to, batch=1), "invocations": to.seen().requests - tasks // 10}


def by_boto3(tasks: int) -> dict[str, float]:
    """Do the same with a pool of 64 threads and a client of boto3's, as PyWren and parallelagram do."""
    import boto3
    from botocore.config import Config

    with stub() as to:
        client = boto3.client(
            "lambda", region_name=REGION, endpoint_url=to.url, aws_access_key_id=to.access_key,
            aws_secret_access_key="secret", config=Config(max_pool_connections=64, retries={"max_attempts": 0}),
        )  # fmt: skip

        def once(_number: int) -> int:
            return len(client.invoke(FunctionName="op-0", Payload=request)["Payload"].read())

        request = _request()
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(once, range(256)))
            begun_s = time.perf_counter()
            list(pool.map(once, range(tasks)))
        return {"tasks": tasks, "seconds": time.perf_counter() - begun_s}


def in_flight(tasks: int, latency_s: float = 5.0) -> dict[str, float]:
    """Keep half of all tasks in flight at once, each for about so many seconds."""
    with stub(latency_s=latency_s) as to:
        figures = _run(independent(tasks), to, batch=1, concurrency=tasks // 2)
        return {**figures, "most_in_flight": to.seen().most_in_flight}


def graph(tasks: int) -> dict[str, float]:
    """Run a graph of so many tasks, in batches as they come by default."""
    with stub() as to:
        figures = _run(reduction((tasks + 1) // 3), to)
        return {**figures, "invocations": to.seen().requests}


def hops(at_once: int, latency_s: float = 1.0) -> dict[str, float]:
    """Run chains beside each other, whose tasks take about so many seconds: each completion makes one task possible."""
    with stub(latency_s=latency_s) as to:
        figures = _run(chains(at_once, 8), to, batch=1, concurrency=at_once)
        seen = to.seen()
        cuts = statistics.quantiles(seen.hops_s, n=100)
        return {
            **figures,
            "most_in_flight": seen.most_in_flight,
            "p50_s": cuts[49],
            "p95_s": cuts[94],
            "p99_s": cuts[98],
        }


def _run(program: Program, to: Stub, **limits: Any) -> dict[str, float]:
    """Run a program against the stub; return what it took."""
    bounds = Limits(**limits)
    keys = Credentials(to.access_key, "secret")
    invoker = HttpInvoker(
        to.url, region=REGION, credentials=lambda: keys, connections=bounds.concurrency, clock=SystemClock()
    )
    functions = {table.operation.id: table.operation.name for table in program.tables}
    with tempfile.TemporaryDirectory() as folder:
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        done = begin(
            program, functions, invoker=invoker, store=FileStore(Path(folder)), run=secrets.token_hex(16),
            key=secrets.token_bytes(32), limits=bounds,
        ).result()  # fmt: skip
        seconds, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
    if done.values != list(program.outputs):
        raise AssertionError(f"the stub answers with ids of tasks, but these values came: {done.values}")
    return {"tasks": program.task_count, "seconds": seconds, "cpu_s": cpu_s, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _request() -> bytes:
    """Return a request for one task that waits for nothing, as the client would send it."""
    key = secrets.token_bytes(32)
    frame = encode(([0], [("l", [0]), ("c",)], {}), key=key, context=context("r", INLINE_BATCH, "o"))
    request = {
        "v": VERSION,
        "run": "r",
        "operation": "o",
        "keys": {"r": b64encode(key).decode()},
        "store": {"kind": "file", "root": "/"},
        "batch": b64encode(frame).decode(),
    }
    return json.dumps(request).encode()


CASES = {
    "rate": Case(
        rate,
        size=50_000,
        quick=1_000,
        told=lambda of: (
            f"{of['invocations']:,.0f} invocations: {of['invocations'] / of['seconds']:,.0f} a second"
        ),
        kept=lambda of: of["invocations"] / of["seconds"] >= RATE,
        bar=f"at least {RATE:,} a second",
    ),
    "boto3": Case(
        by_boto3,
        size=5_000,
        quick=200,
        told=lambda of: (
            f"{of['tasks']:,.0f} by boto3 in 64 threads: {of['tasks'] / of['seconds']:,.0f} a second"
        ),
    ),
    "in-flight": Case(
        in_flight,
        size=20_000,
        quick=400,
        told=lambda of: f"{of['most_in_flight']:,.0f} in flight at once: {of['peak_bytes'] / 1e6:,.0f} MB",
        kept=lambda of: of["peak_bytes"] < IN_FLIGHT_BYTES,
        bar=f"under {IN_FLIGHT_BYTES / 1e6:,.0f} MB",
    ),
    "graph": Case(
        graph,
        size=1_000_000,
        quick=3_000,
        told=lambda of: (
            f"{of['tasks']:,.0f} tasks in {of['invocations']:,.0f} invocations: {of['tasks'] / of['seconds']:,.0f} a second, "
            f"{of['cpu_s'] / of['tasks'] * 1e6:.1f} µs of the client's CPU a task, {of['peak_bytes'] / 1e6:,.0f} MB"
        ),
        kept=lambda of: of["cpu_s"] / of["tasks"] * 1e6 < TASK_US,
        bar=f"under {TASK_US:.0f} µs",
    ),
    "hops": Case(
        hops,
        size=1_000,
        quick=50,
        told=lambda of: (
            f"completion to successor with {of['most_in_flight']:,.0f} in flight: p50 {of['p50_s'] * 1e3:.1f} ms, "
            f"p95 {of['p95_s'] * 1e3:.1f} ms, p99 {of['p99_s'] * 1e3:.1f} ms"
        ),
        kept=lambda of: of["p50_s"] <= HOP_S,
        bar=f"p50 at most {HOP_S * 1e3:.0f} ms",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where a bar is missed."""
    options = _options(arguments)
    if options.alone:
        (name,) = options.cases
        print(json.dumps(CASES[name].measure(_size(CASES[name], options.quick))))
        return 0
    verdicts = [_measured(name, quick=options.quick) for name in options.cases or CASES]
    return 0 if all(verdicts) else 1


def _measured(name: str, *, quick: bool) -> bool:
    """Measure one case in a process of its own; print its figures and whether its bar is kept.

    Raises:
        subprocess.CalledProcessError: the process failed; its own words are on stderr.
        subprocess.TimeoutExpired: it took longer than we wait.
    """
    command = [sys.executable, "-m", "benchmarks.scheduler", name, "--alone", *(["--quick"] if quick else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=_LIMIT_S)
    figures, case = json.loads(done.stdout), CASES[name]
    if case.kept is None:
        print(f"{case.told(figures)} (no bar)", flush=True)
        return True
    kept = case.kept(figures)
    print(f"{case.told(figures)} ({case.bar}): {verdict(kept)}", flush=True)
    return kept


def _size(case: Case, quick: bool) -> int:
    return case.quick if quick else case.size


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scheduler", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "cases", nargs="*", type=_case, metavar="case", help=f"of {', '.join(CASES)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: a look at whether it works")
    parser.add_argument(
        "--alone", action="store_true", help="one case in this process; print figures as JSON"
    )
    return parser.parse_args(arguments)


def _case(text: str) -> str:
    if text not in CASES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(CASES)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
