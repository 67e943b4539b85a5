"""The kernels are Dask's functions, to the bit; they come alone, and stand only where they were checked."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse

import graphlambda.kernels
from benchmarks.workloads import WORKLOADS
from graphlambda.compiler import compile_collections
from graphlambda.compiler.kernels import RELEASES, Reference, kernels_for
from graphlambda.compiler.read import TaskWalker
from graphlambda.kernels import core, joining, kinds
from graphlambda.testing.inline import run_inline
from graphlambda.testing.values import identical
from tests.kernels.comparison import outcome, references, same
from tests.kernels.more_cases import CASES

ROOT = Path(__file__).parent.parent.parent
FOLDER = Path(graphlambda.kernels.__file__).parent
CALLS = 120
"""Of each kernel; `python -m tests.kernels RELEASE` makes all."""

ON_NUMPY = [
    workload.name for workload in WORKLOADS.values() if workload.family in ("array", "xarray", "store")
]
WITH_DASK = {
    "to-parquet": "Dask's own dataframe writer",
    "bag-groupby": "groups by Dask's tokens",
    "climatology": "flox imports it where it is called",
    "rolling-resample": "flox imports it where it is called",
}
"""Of the workloads without a dataframe: whose operations import Dask, and what for."""

spelled = ":".join


def python(code: str, *path: Path, bare: bool = False) -> str:
    """Return what code prints in an interpreter of its own; a bare one sees no installed distribution."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [sys.executable, "-P", *(["-S"] if bare else []), "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return ended.stdout


@pytest.fixture(scope="module", params=RELEASES)
def compared(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return how many calls of each kernel were compared with a release of Dask, and the differences."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.kernels", request.param, "--most", str(CALLS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode in (0, 1), ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("reference", references(), ids=spelled)
def test_a_kernel_is_dasks_function_to_the_bit(compared: dict[str, Any], reference: Reference) -> None:
    calls, differences = compared[spelled(reference)]
    assert calls > 0
    assert not differences, "\n".join(differences)


def test_every_kernel_is_compared() -> None:
    assert sorted(CASES) == sorted(map(spelled, references()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float64(1), 1.0),
        (np.zeros(2), np.zeros(2, "f4")),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), -np.zeros(2)),
        (np.zeros((2, 2)), np.zeros((2, 2), order="F")),
        (np.zeros(2), np.broadcast_to(0.0, 2)),
        (np.zeros(2), np.ma.MaskedArray(np.zeros(2))),
        (np.ma.MaskedArray([1, 2], mask=[False, True]), np.ma.MaskedArray([1, 3], mask=[False, True])),
        (np.ma.MaskedArray([1, 2]), np.ma.MaskedArray([1, 2], fill_value=3)),
        (np.ma.MaskedArray([1, 2]), np.ma.MaskedArray([1, 2], mask=[False, False])),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, (2,)], [1, [2]]),
    ],
)
def test_the_comparison_sees_a_difference(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(other, other)
    assert not same(one, other)


def test_the_comparison_sees_exceptions_and_warnings() -> None:
    assert outcome(np.log, (0.0,), {}) != outcome(np.log, (1.0,), {})
    assert outcome(np.arange(3).reshape, (2, 2), {})[0][:2] == ("raised", ValueError)


def test_kernels_import_numpy_and_the_standard_library_only() -> None:
    modules = sorted(f"graphlambda_kernels.{path.stem}" for path in FOLDER.glob("*.py"))
    assert len(modules) > 5
    for path in FOLDER.glob("*.py"):
        found = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = {
            name.partition(".")[0]
            for node in found
            for name in (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            if isinstance(node, ast.Import) or node.level == 0
        }
        assert names <= {"numpy", "scipy", *sys.stdlib_module_names}, path


def test_importing_every_kernel_imports_neither_dask_nor_scipy(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "graphlambda_kernels", ignore=shutil.ignore_patterns("__pycache__"))
    names = ", ".join(f"graphlambda_kernels.{path.stem}" for path in sorted(FOLDER.glob("[a-z]*.py")))
    code = f"import sys, {names}; print([name for name in ('dask', 'scipy', 'toolz', 'numpy') if name in sys.modules])"
    assert python(code, tmp_path) == "['numpy']\n"
    alone = "import sys, graphlambda_kernels.bags; print('numpy' in sys.modules)"
    assert python(alone, tmp_path) == "False\n"


def test_what_is_no_array_of_numpys_goes_to_dasks_own_function() -> None:
    matrices = [scipy.sparse.csr_matrix(np.eye(2) * number) for number in range(3)]
    ours = joining._concatenate2([matrices], axes=[0, 1])
    assert (ours != da.core._concatenate2([matrices], axes=[0, 1])).nnz == 0
    assert ours.shape == (2, 6)


class Metres(np.ndarray[Any, Any]):
    """A kind of array that someone has taught Dask to join."""


def test_what_users_have_registered_with_dask_holds() -> None:
    da.dispatch.concatenate_lookup.register(Metres, lambda arrays, axis: "joined by the user")
    arrays = [np.zeros(2).view(Metres)] * 2
    assert joining._concatenate2(arrays, axes=[0]) == "joined by the user"
    assert core.concatenate_arrays([np.zeros(1), np.ones(1)], (0, [1, 0]), 0).tolist() == [1, 0]


def test_where_dask_is_not_packed_its_name_says_what_is_missing(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "graphlambda_kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in Path(np.__file__).parent.parent.glob("numpy*"):
        (tmp_path / folder.name).symlink_to(folder)
    code = (
        "from fractions import Fraction\nfrom graphlambda_kernels.joining import _concatenate2\n"
        "try: _concatenate2([Fraction(1, 3)], axes=[0])\n"
        "except ModuleNotFoundError as error: print(error.name)"
    )
    assert python(code, tmp_path, bare=True) == "dask\n"


def test_numpys_own_types_are_numpys() -> None:
    own = [np.zeros(1), np.ma.masked, np.ma.MaskedArray([1]), np.float32(1), np.asmatrix([1]), [1], 1, None]
    assert all(kinds.is_numpys(type(each)) for each in own)
    assert not kinds.is_numpys(Metres)
    assert not kinds.is_numpys(scipy.sparse.csr_matrix)


@pytest.mark.parametrize(
    ("release", "backend"),
    [("2099.1.0", "numpy"), (f"{RELEASES[-1]}+local", "numpy"), (RELEASES[-1], "cupy")],
)
def test_what_was_not_checked_is_dasks_own(release: str, backend: str) -> None:
    assert kernels_for(release, backend) == {}
    assert kernels_for(RELEASES[-1])["dask.array.core", "getter"] == ("graphlambda_kernels.core", "getter")


def test_a_release_that_was_not_checked_gets_imports_of_dask() -> None:
    def imported(walker: TaskWalker) -> list[Any]:
        walker.signature(da.reductions.mean_chunk)
        return walker.constants

    (theirs,), (ours,) = imported(TaskWalker("2099.1.0")), imported(TaskWalker(RELEASES[-1]))
    assert (theirs.module, theirs.name) == ("dask.array.reductions", "mean_chunk")
    assert (ours.module, ours.name) == ("graphlambda_kernels.reductions", "mean_chunk")


def compiled(name: str) -> Any:
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        return compile_collections(*WORKLOADS[name].collections(1))


@pytest.mark.parametrize("name", sorted({*ON_NUMPY, "map-fold", "bag-groupby", "word-count"}))
def test_operations_on_arrays_and_bags_do_without_dask(name: str) -> None:
    program = compiled(name)
    imports = {module for table in program.tables for module in table.operation.imports}
    assert any(module.partition(".")[0] == "dask" for module in imports) == (name in WITH_DASK)


@pytest.mark.parametrize("name", [name for name in ON_NUMPY if name != "to-parquet"])
def test_a_workload_on_kernels_gives_what_dask_gives(name: str) -> None:
    collections = WORKLOADS[name].collections(1)
    assert identical(
        run_inline(compile_collections(*collections)), dask.compute(*collections, scheduler="sync")
    )


MENDED = """
from pathlib import Path
import dask.array as da
import graphlambda
from graphlambda.compiler import compile_collections

def compiled():
    program = compile_collections(da.ones((8, 8), chunks=4).mean())
    print(*sorted({f"{table.operation.name}:{table.operation.id}" for table in program.tables}))

file = Path(graphlambda.__file__).parent / "kernels" / "joining.py"
compiled()
file.write_text(file.read_text() + "# a comment")
compiled()
file.write_text(file.read_text().replace("np.empty(0)", "np.empty(1)"))
compiled()
"""


def test_who_mends_a_kernel_gets_new_operations_and_who_comments_does_not(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "graphlambda", tmp_path / "graphlambda", ignore=shutil.ignore_patterns("__pycache__")
    )
    before, commented, mended = map(str.split, python(MENDED, tmp_path).splitlines())
    assert commented == before
    assert [name.partition(":")[0] for name in mended] == [name.partition(":")[0] for name in before]
    assert not set(mended) & set(before)
