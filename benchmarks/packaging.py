"""What functions weigh, how soon they run, what a deploy sends, and how long the first result takes.

    python -m benchmarks.packaging [sizes] [cold] [uploads] [first] [--repeats 15]

Prints a table each, then the bars. Exits with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.packing import cold, first, sizes, uploads
from benchmarks.packing.cases import all_cases
from benchmarks.text import table, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.packing.case import Case

COLD_CASES = (
    "numpy qr",
    "dask mean_chunk",
    "scipy.fft",
    "xarray mean",
    "pandas groupby",
    "scikit-learn fit",
    "lambda with requests",
)
BARRED_COLD = "numpy qr"
MOST_OVER_LEAST = 1.01
MOST_OVER_BARE = 1.3
LEAST_SAVING = 10.0

Bars = list[tuple[str, bool]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where a bar is missed."""
    options = _options(arguments)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="graphlambda-bench-") as name:
        folder = Path(name)
        cases = all_cases(folder)
        bars: Bars = []
        for part in options.parts or PARTS:
            text, more = PARTS[part](cases, folder, options.repeats)
            print(f"{text}\n", flush=True)
            bars += more
    print("\n".join(f"{text}: {verdict(kept)}" for text, kept in bars))
    return 0 if all(kept for _, kept in bars) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.packaging", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "parts", nargs="*", type=_part, metavar="part", help=f"of {', '.join(PARTS)}; default: all"
    )
    parser.add_argument("--repeats", type=int, default=15, help="the median of so many cold starts is taken")
    return parser.parse_args(arguments)


def _part(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(PARTS)}")
    return text


def _sizes(cases: Sequence[Case], folder: Path, _repeats: int) -> tuple[str, Bars]:
    found = []
    for case in cases:
        print(f"sizes: {case.name}", file=sys.stderr, flush=True)
        found.append(sizes.measure(case, folder / "sizes"))
    total, least = sum(each.raw_bytes for each in found), sum(each.least_bytes for each in found)
    image = sum(each.image_bytes for each in found)
    rows = [_size_row(each) for each in found]
    rows.append(["all", "", _mb(total), _mb(sum(each.zip_bytes for each in found)), _mb(image)])
    rows[-1] += [_mb(sum(each.image_zip_bytes for each in found)), _mb(least), "", ""]
    heads = [
        "operation",
        "distributions",
        "MB",
        "zipped",
        "one image",
        "zipped",
        "least",
        "needless",
        "rebuilt",
    ]
    text = (
        f"all {len(found)} run in isolation, {total / least - 1:.2%} over the least that works (at most 1%)"
    )
    return table(heads, rows), [(text, total <= MOST_OVER_LEAST * least)]


def _size_row(size: sizes.Size) -> list[str]:
    counts = [str(len(size.artifact.requirements)), _mb(size.raw_bytes), _mb(size.zip_bytes)]
    peers = [_mb(size.image_bytes), _mb(size.image_zip_bytes), _mb(size.least_bytes)]
    return [size.case.name, *counts, *peers, " ".join(size.needless), str(size.rebuilds)]


def _cold(cases: Sequence[Case], _folder: Path, repeats: int) -> tuple[str, Bars]:
    found = [cold.measure(each, repeats) for each in cases if each.name in COLD_CASES]
    rows = [
        [
            each.name,
            f"{each.cold_s * 1e3:.0f}",
            f"{each.bare_s * 1e3:.0f}",
            f"{each.ratio:.2f}",
            _short(each.modules),
        ]
        for each in found
    ]
    (barred,) = (each for each in found if each.name == BARRED_COLD)
    text = f"cold start of {barred.name}: {barred.ratio:.2f} of a bare import (at most {MOST_OVER_BARE})"
    heads = ["operation", "cold ms", "bare import ms", "ratio", "modules"]
    return table(heads, rows), [(text, barred.ratio <= MOST_OVER_BARE)]


def _uploads(cases: Sequence[Case], _folder: Path, _repeats: int) -> tuple[str, Bars]:
    found = uploads.measure(cases)
    rows = [[each.name, str(each.functions), str(each.layers), *map(_mb, each.bytes)] for each in found]
    sums = [sum(column) for column in zip(*(each.bytes for each in found), strict=True)]
    rows.append(["all", "", "", *map(_mb, sums)])
    sent, single, _ = sums
    text = f"{single / sent:.1f} times fewer bytes than one zip a function (at least {LEAST_SAVING:.0f})"
    return table(
        ["deploy", "new functions", "layers", "MB sent", "one zip each", "of new ones alone"], rows
    ), [(text, single >= LEAST_SAVING * sent)]


def _first(_cases: Sequence[Case], folder: Path, _repeats: int) -> tuple[str, Bars]:
    found = first.measure(folder / "cache")
    rows = [[each.name, f"{each.seconds:.2f}", f"{each.bar_s:.0f}"] for each in found]
    bars = [
        (f"first result with {each.name}: {each.seconds:.2f} s", each.seconds <= each.bar_s) for each in found
    ]
    return table(["first result with", "seconds", "at most"], rows), bars


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"


def _short(modules: tuple[str, ...]) -> str:
    return " ".join(sorted({module.partition(".")[0] for module in modules}))


PARTS = {"sizes": _sizes, "cold": _cold, "uploads": _uploads, "first": _first}


if __name__ == "__main__":
    sys.exit(main())
