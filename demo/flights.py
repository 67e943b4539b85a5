"""Dataframe: parquet → filter → join → groupby."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.dataframe as dd

from demo.data import flights_folder, table
from demo.pipeline import Pipeline

if TYPE_CHECKING:
    import pandas as pd

LONG_MILES = 500
MONTHS = 12
COLUMNS = ["carrier", "distance", "arr_delay"]


def delays(folder: str, airlines: pd.DataFrame) -> Any:
    """Return, for each airline, its long flights of some parquet files and how late they came."""
    return delays_of(dd.read_parquet(folder, columns=COLUMNS), airlines)


def delays_of(flights: Any, airlines: pd.DataFrame) -> Any:
    """Return, for each airline, its long flights and how late they came."""
    arrived = flights[(flights.distance > LONG_MILES) & flights.arr_delay.notnull()]  # noqa: PD004 - Dask has no `notna`
    named = arrived.merge(airlines, on="carrier")
    named = named.assign(late=named.arr_delay > 15)
    return named.groupby("name").agg({"arr_delay": ["count", "mean", "max"], "late": "sum"})


def text(result: pd.DataFrame) -> str:
    """Return the airlines, the most punctual first."""
    flat = result.set_axis(["flights", "mean delay, min", "longest, min", "over 15 min late"], axis="columns")
    return flat.sort_values("mean delay, min").round(1).to_string()


def same(ours: pd.DataFrame, dasks: pd.DataFrame) -> bool:
    """Compare every value exactly; the order of groups is nobody's promise."""
    return bool(ours.sort_index().equals(dasks.sort_index()))


def pipeline() -> Pipeline:
    """Return the pipeline over a year of flights."""
    collection = delays(str(flights_folder()), table("airlines"))
    return _pipeline(collection, "lie in twelve parquet files")


def carried() -> Pipeline:
    """Return the same where functions do not see this machine's files."""
    flights = dd.from_pandas(table("flights.csv.zip")[COLUMNS], npartitions=MONTHS)
    return _pipeline(delays_of(flights, table("airlines")), "travel with the program, as twelve dataframes")


def _pipeline(collection: Any, where: str) -> Pipeline:
    return Pipeline(
        title="Flights: a dataframe",
        about=(
            f"All 336,776 flights that left New York in 2013 {where}. Those of more than {LONG_MILES} miles that arrived "
            "are joined with the names of the airlines, and counted by airline."
        ),
        collection=collection,
        text=text,
        same=same,
    )
