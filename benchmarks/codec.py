"""What the codec itself costs, beside copying as many bytes: NumPy, pandas and Arrow values.

    python -m benchmarks.codec [--mb 64] [--repeats 15]

**Encode** pickles and signs, **decode** verifies and un-pickles into memory that a task may change; no buffer is copied.
Medians of CPU time. Prints a table.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.text import table
from graphlambda.runtime.frame import copied, decode, encode_parts, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SIGNED: Mapping[str, Any] = {"key": bytes(range(32)), "context": b"run/v-1"}
_COLUMNS = 8


def values_of(mb: int) -> Mapping[str, Any]:
    """Return values of about that many MB, by name."""
    numbers = np.random.default_rng(1).random((mb << 17) // _COLUMNS * _COLUMNS)
    columns = {f"c{n}": part for n, part in enumerate(np.split(numbers, _COLUMNS))}
    words = np.random.default_rng(2).integers(0, 1000, (mb << 20) // 12).astype(str)
    return {
        "NumPy float64": numbers,
        "pandas, 8 columns of float64": pd.DataFrame(columns),
        "pandas, Arrow text": pd.DataFrame({"text": pd.array(words, dtype="string[pyarrow]")}),
        "Arrow, 8 columns of float64": pa.table(columns),
        "Arrow text": pa.table({"text": pa.array(words)}),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codec")
    parser.add_argument("--mb", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args(arguments)
    rows = [_row(name, value, options.repeats) for name, value in values_of(options.mb).items()]
    heads = ["value", "MB", "encode ms", "decode ms", "memcpy ms", "encode/memcpy", "decode/memcpy"]
    print(table(heads, rows))
    return 0


def _row(name: str, value: Any, repeats: int) -> list[str]:
    frame = copied(b"".join(encode_parts(value, **_SIGNED)))
    other = copied(frame)
    encode_ms = _median_ms(lambda: encode_parts(value, **_SIGNED), repeats)
    decode_ms = _median_ms(lambda: decode(frame, **_SIGNED), repeats)
    copy_ms = _median_ms(lambda: other.__setitem__(slice(None), frame), repeats)
    figures = (encode_ms, decode_ms, copy_ms)
    ratios = (encode_ms / copy_ms, decode_ms / copy_ms)
    mb = size_of([frame]) / (1 << 20)
    return [name, f"{mb:.1f}", *(f"{ms:.2f}" for ms in figures), *(f"{ratio:.2f}" for ratio in ratios)]


def _median_ms(call: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start_s = time.process_time()
        call()
        taken.append(time.process_time() - start_s)
    return statistics.median(taken) * 1e3


if __name__ == "__main__":
    sys.exit(main())
