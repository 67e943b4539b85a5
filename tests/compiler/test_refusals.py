"""What could not be right on Lambda is refused before anything runs, and the message names the remedy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from botocore.credentials import Credentials
from dask import delayed
from dask._task_spec import TaskRef
from dask.utils import SerializableLock

from graphlambda.compiler import Program, compile_collections, compile_graph
from graphlambda.compiler.refuse import MOST_INPUTS
from graphlambda.errors import RefusedError, UnshippableError
from graphlambda.testing.inline import run_inline
from graphlambda.testing.values import identical

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "8sK1pQvZ3tYx0WmB7nLr5EoHcJ2dGfUaT6iN9kR4"
PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xf" * 4


def take(*values: Any, **named: Any) -> tuple[Any, ...]:
    return (*values, named)


def ones() -> da.Array:
    return da.ones((8, 8), chunks=4)


def frame() -> dd.DataFrame:
    return dd.from_pandas(pd.DataFrame({"a": range(20), "b": range(20)}), npartitions=4)


def zarr_array(
    folder: Path | zarr.storage.MemoryStore, chunks: tuple[int, int] = (4, 4), rows: int = 8
) -> zarr.Array:
    store = folder if isinstance(folder, zarr.storage.MemoryStore) else str(folder / "target.zarr")
    return zarr.create_array(store, shape=(rows, 8), chunks=chunks, dtype="f8")


def refused(collection: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        compile_collections(collection)
    return caught.value


def literal_values(program: Program) -> list[Any]:
    return [getattr(binding, "value", None) for table in program.tables for binding in table.row(0)]


class TestShuffles:
    def test_a_bag_that_groups_on_disk_is_told_to_use_tasks(self) -> None:
        bag = db.from_sequence(range(9), npartitions=3)
        assert "shuffle='tasks'" in refused(bag.groupby(lambda v: v % 2)).remedy

    def test_a_dataframe_that_would_shuffle_on_disk_shuffles_by_tasks(self) -> None:
        shuffled = frame().shuffle("a", shuffle_method="disk")
        (got,) = run_inline(compile_collections(shuffled))
        assert sorted(got.a) == list(range(20))

    @pytest.mark.parametrize(
        "make",
        [
            lambda: frame().shuffle("a", shuffle_method="p2p"),
            lambda: frame().merge(frame(), on="b", shuffle_method="p2p"),
            lambda: ones().rechunk((8, 2), method="p2p"),
        ],
        ids=["shuffle", "merge", "rechunk"],
    )
    def test_p2p_is_told_to_use_tasks(self, make: Any) -> None:
        error = refused(make())
        assert "p2p" in error.what
        assert "tasks" in error.remedy


class TestFutures:
    def test_a_future_of_another_scheduler_is_no_input(self) -> None:
        class Future(TaskRef):  # type: ignore[misc]
            """As `distributed.Future` is made: a reference to a key that only its cluster knows."""

        error = refused(delayed(take)(Future("elsewhere")))
        assert "'elsewhere'" in error.what
        assert "Compute it there first" in error.remedy

    def test_a_key_that_the_graph_does_not_hold_is_named(self) -> None:
        with pytest.raises(RefusedError, match="'absent'"):
            compile_graph({"a": dask._task_spec.Task("a", take, TaskRef("absent"))}, "a")


class TestTargets:
    @pytest.mark.parametrize(
        "make",
        [
            lambda folder: np.zeros((8, 8)),
            lambda folder: np.ma.zeros((8, 8)),
            lambda folder: np.memmap(folder / "mapped", shape=(8, 8), dtype="f8", mode="w+"),
            lambda folder: zarr_array(zarr.storage.MemoryStore()),
        ],
        ids=["array", "masked", "memmap", "zarr in memory"],
    )
    @pytest.mark.parametrize("lock", [True, False])
    def test_a_target_in_memory_is_refused(self, make: Any, tmp_path: Path, lock: bool) -> None:
        error = refused(da.store(ones(), make(tmp_path), lock=lock, compute=False))
        assert "share no memory" in error.what
        assert "to_zarr" in error.remedy

    def test_the_default_lock_goes_where_each_task_writes_whole_chunks(self, tmp_path: Path) -> None:
        target = zarr_array(tmp_path)
        program = compile_collections(da.store(ones() * 3, target, compute=False))
        assert not any(isinstance(value, SerializableLock) for value in literal_values(program))
        run_inline(program)
        assert identical(target[:], np.full((8, 8), 3.0))

    def test_a_lock_of_the_users_own_goes_likewise(self, tmp_path: Path) -> None:
        store = da.store(ones(), zarr_array(tmp_path), lock=threading.Lock(), compute=False)
        assert compile_collections(store).task_count == 4

    @pytest.mark.parametrize("first_row", [0, 4, 8])
    def test_regions_that_begin_where_a_chunk_begins_are_written(
        self, tmp_path: Path, first_row: int
    ) -> None:
        target = zarr_array(tmp_path, rows=16)
        region = (slice(first_row, first_row + 8), slice(None))
        run_inline(compile_collections(da.store(ones(), target, regions=region, compute=False)))
        assert target[:].sum() == 64
        assert target[first_row : first_row + 8].all()

    @pytest.mark.parametrize(("chunks", "first_row"), [((3, 4), 0), ((4, 5), 0), ((4, 4), 2)])
    def test_tasks_that_share_a_chunk_are_told_to_rechunk(
        self, tmp_path: Path, chunks: tuple[int, int], first_row: int
    ) -> None:
        target = zarr_array(tmp_path, chunks, rows=16)
        region = (slice(first_row, first_row + 8), slice(None))
        error = refused(da.store(ones(), target, regions=region, compute=False))
        assert "same chunk" in error.what
        assert "Rechunk" in error.remedy

    def test_a_sharded_target_is_written_by_whole_shards(self, tmp_path: Path) -> None:
        made = [
            zarr.create_array(tmp_path / f"{n}", shape=(8, 8), chunks=(2, 2), shards=(n, n), dtype="f8")
            for n in (4, 8)
        ]
        assert compile_collections(da.store(ones(), made[0], compute=False)).task_count == 4
        assert "same chunk" in refused(da.store(ones(), made[1], compute=False)).what

    def test_who_says_lock_false_answers_for_it(self, tmp_path: Path) -> None:
        target = zarr_array(tmp_path, (3, 4))
        assert compile_collections(da.store(ones(), target, lock=False, compute=False)).task_count == 4

    def test_a_locked_target_that_a_task_makes_is_refused(self, tmp_path: Path) -> None:
        zarr_array(tmp_path)
        target = delayed(zarr.open_array)(str(tmp_path / "target.zarr"))
        assert "lock=False" in refused(da.store(ones(), target, compute=False)).remedy
        unlocked = da.store(ones(), target, lock=False, compute=False)
        run_inline(compile_collections(unlocked))
        assert zarr.open_array(tmp_path / "target.zarr")[:].sum() == 64

    def test_a_zip_file_has_one_writer(self, tmp_path: Path) -> None:
        store = zarr.storage.ZipStore(tmp_path / "a.zip", mode="w")
        target = zarr.create_array(store, shape=(8, 8), chunks=(4, 4), dtype="f8")
        assert "Only one process" in refused(da.store(ones(), target, lock=False, compute=False)).what

    def test_to_zarr_writes_what_dask_writes(self, tmp_path: Path) -> None:
        lazy = da.to_zarr(ones() + 1, tmp_path / "a.zarr", compute=False)
        run_inline(compile_collections(lazy))
        assert identical(zarr.open_array(tmp_path / "a.zarr")[:], np.full((8, 8), 2.0))


class TestHdf5:
    def test_to_netcdf_is_told_to_use_zarr(self, tmp_path: Path) -> None:
        data = xr.Dataset({"t": (("x", "y"), np.ones((4, 4)))}).chunk({"x": 2})
        error = refused(data.to_netcdf(tmp_path / "a.nc", engine="netcdf4", compute=False))
        assert "Only one process" in error.what
        assert "to_zarr" in error.remedy

    def test_a_dataframe_to_hdf_is_told_to_use_parquet(self, tmp_path: Path) -> None:
        error = refused(frame().to_hdf(str(tmp_path / "a.h5"), "/a", compute=False))
        assert "HDF5" in error.what
        assert "to_parquet" in error.remedy

    def test_an_array_to_hdf5_is_told_to_use_zarr(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "a.h5", "w") as file:
            target = file.create_dataset("x", shape=(8, 8), chunks=(4, 4), dtype="f8")
            assert "to_zarr" in refused(da.store(ones(), target, compute=False)).remedy

    @pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
    def test_open_mfdataset_gives_what_dask_gives(self, tmp_path: Path, engine: str) -> None:
        if engine == "h5netcdf":
            pytest.importorskip("h5py")
        for number in range(3):
            values = np.arange(8.0).reshape(2, 4) + number
            dated = {"time": [2 * number, 2 * number + 1]}
            xr.Dataset({"t": (("time", "x"), values)}, dated).to_netcdf(
                tmp_path / f"{number}.nc", engine="netcdf4"
            )
        files = sorted(map(str, tmp_path.glob("*.nc")))
        with xr.open_mfdataset(files, engine=engine, chunks={"x": 2}) as data:
            mean = data.t.mean("time") * 2
            program = compile_collections(mean)
            (got,) = run_inline(program)
            assert got.identical(mean.compute(scheduler="sync"))
        assert str(tmp_path) in program.paths


class TestLocks:
    def test_a_lock_of_threading_cannot_travel_and_is_named(self) -> None:
        with pytest.raises(UnshippableError, match=r"_thread\.lock"):
            compile_collections(delayed(take)(threading.Lock()))

    def test_a_lock_that_guards_reading_travels(self) -> None:
        array = da.from_array(np.arange(6), chunks=2, lock=SerializableLock("reading"), inline_array=True)
        (got,) = run_inline(compile_collections(array + 1))
        assert identical(got, np.arange(6) + 1)

    def test_frompyfunc_of_a_lambda_is_named(self) -> None:
        function = np.frompyfunc(lambda v: v + 1, 1, 1)
        with pytest.raises(UnshippableError, match=r"vectorized.*inside the task"):
            compile_collections(ones().map_blocks(function, dtype=object))


class TestKeys:
    @pytest.mark.parametrize(
        ("literal", "kind"),
        [
            (SECRET, "an AWS secret access key"),
            ({"secret": SECRET}, "an AWS secret access key"),
            (["AKIA" + "Z" * 16, f"aws_secret_access_key={SECRET}"], "an AWS secret access key"),
            (PRIVATE_KEY, "a private key"),
            (PRIVATE_KEY.encode(), "a private key"),
            (["-"] * 100 + [PRIVATE_KEY], "a private key"),
            (Credentials("access", "secret"), "a credentials object"),
        ],
    )
    def test_a_literal_that_holds_a_key_is_refused(self, literal: Any, kind: str) -> None:
        error = refused(delayed(take)(literal))
        assert error.what == f"A literal of operation take holds {kind}"
        assert "role" in error.remedy
        assert SECRET not in str(error)

    def test_a_key_in_code_is_refused(self) -> None:
        def uses_key(value: object) -> object:
            return value, "8sK1pQvZ3tYx0WmB7nLr5EoHcJ2dGfUaT6iN9kR4"

        assert "code holds" in refused(delayed(uses_key)(1)).what

    def test_a_key_in_a_closure_is_refused(self) -> None:
        secret = SECRET
        assert "a literal" in refused(delayed(lambda value: (value, secret))(1)).what.lower()

    def test_a_large_value_that_holds_a_key_is_refused(self) -> None:
        error = refused([delayed(take)(number, PRIVATE_KEY + "\n" * (5000 + number)) for number in range(2)])
        assert "operation take reads holds a private key" in error.what

    @pytest.mark.parametrize(
        "literal",
        [
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "data/Flights2013/January/part0001/values",
            "AKIA" + "Z" * 16,
            [SECRET] * 100,
            "-----BEGIN PRIVATE KEY-----",
            "a" * 40,
        ],
        ids=["sha1", "path", "id alone", "many values", "no key", "letters"],
    )
    def test_what_merely_resembles_a_key_travels(self, literal: Any) -> None:
        (got,) = run_inline(compile_collections(delayed(take)(literal)))
        assert got == (literal, {})


class TestWideFanIn:
    def test_a_task_may_read_as_many_values_as_one_function_can(self) -> None:
        assert wide(MOST_INPUTS).task_count == MOST_INPUTS + 1

    def test_one_more_is_told_to_split_every(self) -> None:
        with pytest.raises(RefusedError, match=r"'total'.*100,001 values.*split_every=8"):
            wide(MOST_INPUTS + 1)


def wide(count: int) -> Program:
    graph: dict[Any, Any] = {("x", number): (len, "") for number in range(count)}
    graph["total"] = (len, list(graph))
    return compile_graph(graph, "total")
