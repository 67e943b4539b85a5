"""pipreqs reads the imports of exactly the files that an operation reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.compiler.program import LocalFile
from graphlambda.packager.imports import imports_of, likely_distribution

if TYPE_CHECKING:
    from pathlib import Path


def local(folder: Path, name: str, text: str) -> LocalFile:
    source = folder / name
    source.write_text(text)
    return LocalFile(path=f"{name}c", content=text.encode(), source=str(source))


def test_imports_anywhere_in_a_reached_file_are_found(tmp_path: Path) -> None:
    text = "import numpy.linalg\nimport os, tomllib\n\ndef f():\n    from scipy import stats\n"
    assert imports_of([local(tmp_path, "helpers.py", text)]) == {"numpy", "scipy"}


def test_files_that_nobody_reaches_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "unrelated.py").write_text("import tensorflow\n")
    assert imports_of([local(tmp_path, "helpers.py", "import numpy\n")]) == {"numpy"}


def test_a_reached_file_hides_no_distribution_of_its_name(tmp_path: Path) -> None:
    files = [local(tmp_path, "pandas.py", "import pandas\n"), local(tmp_path, "use.py", "import pandas\n")]
    assert imports_of(files) == {"pandas"}


def test_a_changed_file_is_scanned_anew(tmp_path: Path) -> None:
    assert imports_of([local(tmp_path, "helpers.py", "import numpy\n")]) == {"numpy"}
    assert imports_of([local(tmp_path, "helpers.py", "import scipy\n")]) == {"scipy"}


def test_a_relative_import_is_no_distribution(tmp_path: Path) -> None:
    text = "from .numpy import y\nfrom . import scipy\nfrom ..pandas import z\nimport dask\n"
    assert imports_of([local(tmp_path, "inner.py", text)]) == {"dask"}


@pytest.mark.parametrize("text", ["def f(:\n", "match = 1\nprint 'two'\n", "x = \x00"])
def test_a_file_that_this_python_cannot_read_hides_nothing_of_the_others(tmp_path: Path, text: str) -> None:
    files = [local(tmp_path, "broken.py", text), local(tmp_path, "good.py", "import numpy\n")]
    assert imports_of(files) == {"numpy"}


def test_a_file_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    file = local(tmp_path, "gone.py", "import numpy\n")
    (tmp_path / "gone.py").unlink()
    assert imports_of([file]) == frozenset()


def test_data_files_and_extension_modules_are_passed_over(tmp_path: Path) -> None:
    assert (
        imports_of([LocalFile(path="table.csv", content=b"a,b\n"), local(tmp_path, "fast.so", "\x7fELF")])
        == set()
    )


def test_a_missing_module_is_named_as_an_index_serves_it() -> None:
    assert [likely_distribution(name) for name in ("sklearn", "PIL.Image", "numpy")] == [
        "scikit_learn",
        "Pillow",
        "numpy",
    ]
