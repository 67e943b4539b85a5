"""The cases: from a NumPy function to a distribution as large as torch.

In: a folder that may be filled with distributions made here and put on `sys.path`. Out: `Case`s. Must not build.
Callables are lambdas or local: they go by value, as functions of a user's script or notebook do.
"""

from __future__ import annotations

import sys
import zipfile
from importlib import import_module
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.array.reductions
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import requests
import scipy.fft
import toolz
import xarray as xr
from scipy.optimize import minimize
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from benchmarks.packing.case import Case
from graphlambda.testing.distributions import install

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = "as large as torch"
_HEAVY_FILES, _HEAVY_FILE_BYTES = 12, 50_000_000


def all_cases(folder: Path) -> list[Case]:
    """Return every case; distributions, modules and data of our own are written to `folder`."""
    _install_own(folder)
    return [*_arrays(), *_frames(folder), *_learning(), *_others(folder)]


def _case(name: str, family: str, function: Any, *arguments: Any, imports: str) -> Case:
    return Case(
        name=name, family=family, function=function, arguments=arguments, imports=tuple(imports.split())
    )


def _arrays() -> list[Case]:
    def lazily_expm(block: Any) -> Any:
        import scipy.linalg

        return scipy.linalg.expm(block)

    block = np.random.default_rng(0).random((60, 40))
    grid = xr.DataArray(block, dims=("x", "y"), coords={"x": np.arange(60)})
    array = "numpy dask.array"
    return [
        _case("numpy ufunc", "array", np.add, block, 1.0, imports=array),
        _case("numpy qr", "array", np.linalg.qr, block, imports=array),
        _case("dask mean_chunk", "array", dask.array.reductions.mean_chunk, block, imports=array),
        _case("dask getter", "array", da.core.getter, block, (slice(0, 2), slice(None)), imports=array),
        _case(
            "numpy random", "array", lambda seed: np.random.default_rng(seed).normal(size=8), 7, imports=array
        ),
        _case(
            "scipy.fft",
            "array",
            lambda block: scipy.fft.fft(block, axis=0),
            block,
            imports=f"{array} scipy.fft",
        ),
        _case("xarray mean", "array", lambda grid: grid.mean("x"), grid, imports="xarray dask.array"),
        _case("lazy scipy.linalg", "array", lazily_expm, block[:4, :4], imports=array),
    ]


def _frames(folder: Path) -> list[Case]:
    def rows_of(path: str) -> int:
        import pyarrow.parquet

        return int(pyarrow.parquet.read_table(path).num_rows)

    frame = pd.DataFrame({"key": [1, 2, 2, 3], "value": [1.0, 2.0, 3.0, 4.0]})
    named = pd.DataFrame({"key": ["a", "b", "b", None], "value": [1, 2, 3, 4]})
    path = folder / "values.parquet"
    pa.parquet.write_table(pa.table({"a": [1, 2, 3]}), path)
    script = "pandas dask.dataframe"
    return [
        _case("pandas groupby", "dataframe", lambda frame: frame.groupby("key").sum(), frame, imports=script),
        _case(
            "pandas groupby, strings",
            "dataframe",
            lambda frame: frame.groupby("key").max(),
            named,
            imports=script,
        ),
        _case("pandas read_parquet", "dataframe", pd.read_parquet, str(path), imports=script),
        _case("pyarrow, lazily", "dataframe", rows_of, str(path), imports=script),
        _case(
            "pandas merge",
            "dataframe",
            lambda left, right: left.merge(right, on="value"),
            frame,
            named,
            imports=script,
        ),
    ]


def _learning() -> list[Case]:
    rng = np.random.default_rng(1)
    x, y = rng.random((50, 3)), rng.integers(0, 2, 50)
    script = "sklearn.linear_model numpy dask"
    return [
        _case(
            "scikit-learn fit", "ml", lambda x, y: LogisticRegression().fit(x, y).coef_, x, y, imports=script
        ),
        _case(
            "scikit-learn data files",
            "ml",
            lambda which: load_iris().data[which].sum(),
            0,
            imports=f"{script} sklearn.datasets",
        ),
        _case(
            "scipy optimize",
            "ml",
            lambda start: round(float(minimize(lambda x: (x**2).sum(), start).fun), 6),
            np.ones(3),
            imports="scipy.optimize numpy dask",
        ),
    ]


def _others(folder: Path) -> list[Case]:
    def text_at(path: str) -> Any:
        with fsspec.open(path, "rt") as file:
            return file.read()

    archive = folder / "words.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("words.txt", "to be or not to be")
    imgutil, acme, tool, heavy = map(import_module, ("imgutil", "acme.beta", "tool", "heavy"))
    return [
        _case(
            "text, no distribution",
            "other",
            lambda text: max(text.split(), key=len),
            "to be or not to be",
            imports="dask.bag",
        ),
        _case("toolz frequencies", "other", toolz.frequencies, list("abca"), imports="dask.bag toolz"),
        _case(
            "lambda with requests",
            "other",
            lambda text: requests.Request("GET", "http://x", params={"q": text}).prepare().url,
            "a b/c",
            imports="requests dask",
        ),
        _case("user module, Pillow", "other", imgutil.thumbnail, 32, imports="PIL numpy dask"),
        _case(
            "fsspec path",
            "other",
            text_at,
            f"zip://words.txt::file://{archive}",
            imports="fsspec dask",
        ),
        _case("namespace packages", "other", acme.double, 21, imports="acme.beta dask"),
        _case("editable, data file", "other", tool.greeting, "you", imports="tool dask"),
        _case(
            "import_module(name)",
            "other",
            lambda name: import_module(name).VERSION,
            "tabulated",
            imports="tabulated dask",
        ),
        _case(LARGEST, "other", heavy.answer, 1, imports="heavy numpy dask"),
    ]


def _install_own(folder: Path) -> None:
    """Write what no index serves: namespace packages, an editable install, a user's module, a heavy distribution."""
    site, source = folder / "site", folder / "source"
    install(site, "acme-alpha", {"acme/alpha.py": "def two():\n    return 2\n"})
    beta = "from acme.alpha import two\n\n\ndef double(n):\n    return n * two()\n"
    install(site, "acme-beta", {"acme/beta.py": beta}, requires=["acme-alpha"])
    install(site, "tabulated", {"tabulated.py": "VERSION = '1.0'\n"})
    install(site, "tool", {"tool.pth": f"{source}\n"}, editable=True)
    install(site, "heavy", _heavy(), requires=["numpy"])
    source.mkdir(exist_ok=True)
    (source / "greeting.txt").write_text("hello")
    (source / "tool.py").write_text(_TOOL)
    (source / "imgutil.py").write_text(_IMGUTIL)
    sys.path[:0] = [str(site), str(source)]


def _heavy() -> dict[str, str | bytes]:
    """Return files of 600 MB that pack to a fifth, as torch's do."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 3, _HEAVY_FILE_BYTES, dtype="u1")
    blobs: dict[str, str | bytes] = {
        f"heavy/weights{number}.bin": np.roll(noise, number * 7919).tobytes()
        for number in range(_HEAVY_FILES)
    }
    code = "import numpy\n\n\ndef answer(n):\n    return int(numpy.add(n, 41))\n"
    return {"heavy/__init__.py": code, **blobs}


_TOOL = """\
from pathlib import Path


def greeting(name):
    return (Path(__file__).parent / "greeting.txt").read_text() + " " + name
"""

_IMGUTIL = """\
import numpy
from PIL import Image


def thumbnail(size):
    image = Image.fromarray(numpy.arange(size * size, dtype="uint8").reshape(size, size))
    return image.resize((4, 4)).tobytes()
"""
