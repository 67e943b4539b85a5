"""Editable installs of every kind are the user's own code: what is reached travels, with data and metadata."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import graphlambda
from graphlambda.testing.distributions import install

FINDER = """
import sys
from importlib.util import spec_from_file_location
from pathlib import Path
MAPPING = {{"hooked": {folder!r}}}
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            places = [MAPPING[name]]
            return spec_from_file_location(name, Path(places[0], "__init__.py"), submodule_search_locations=places)
def install():
    sys.meta_path.append(Finder)
"""
"""What setuptools writes for a layout that no folder on `sys.path` can show."""

SCRIPT = """
import json, site, sys, zipfile
from pathlib import Path
site.addsitedir(sys.argv[1])
from dask import delayed
import acme.alpha, bypath.inner, hooked.deep
import graphlambda.runtime
from acme import beta
from graphlambda.packager import this_target
from graphlambda.compiler import called_operations, compile_collections
from graphlambda.packager import build, read_installed
def late(x):
    from hooked import deep
    return deep.g(x)
cases = {
    "a function of a path install": bypath.inner.f,
    "a module of a hook install": lambda x: hooked.deep.g(x),
    "an import in a function": late,
    "half of a namespace": lambda x: acme.alpha.X,
    "its other half": lambda x: beta.X,
}
found = {}
for name, function in cases.items():
    (operation,) = called_operations(compile_collections(delayed(function)(1)))
    (made,) = build([operation], this_target(), cache=Path(sys.argv[2]), runtime=Path(graphlambda.runtime.__file__).parent,
                    installed=read_installed())
    own = [path[5:] for path in zipfile.ZipFile(made.zip_path).namelist() if path.startswith("user/")]
    found[name] = [sorted(own), [each.distribution for each in made.requirements]]
print(json.dumps(found))
"""

HOOKED = [["hooked/__init__.pyc", "hooked/deep.pyc"], ["locket", "six"]]
EXPECTED = {
    "a function of a path install": [
        ["by_path-1.0.dist-info/METADATA", "bypath/__init__.pyc", "bypath/data.csv", "bypath/inner.pyc"],
        ["toolz"],
    ],
    "a module of a hook install": HOOKED,
    "an import in a function": HOOKED,
    "half of a namespace": [[], ["acme-alpha", "six"]],
    "its other half": [[], ["acme-beta"]],
}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def editable(site: Path, name: str, project: Path, files: dict[str, str]) -> None:
    info = install(site, name, dict(files), editable=True)
    (info / "direct_url.json").write_text(
        json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}})
    )


@pytest.fixture
def project(site: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    asks = "from importlib.metadata import version\n__version__ = version('by-path')\n"
    reads = "from pathlib import Path\nimport toolz\n\ndef f(x):\n    return (Path(__file__).parent / 'data.csv').read_text()\n"
    write(folder / "src" / "bypath" / "__init__.py", asks)
    write(folder / "src" / "bypath" / "inner.py", reads)
    write(folder / "src" / "bypath" / "idle.py", "import numpy\n")
    write(folder / "src" / "bypath" / "data.csv", "1,2")
    editable(site, "by-path", folder, {"_editable_impl_by_path.pth": f"{folder / 'src'}\n"})
    write(folder / "lib" / "code" / "__init__.py", "import six\n")
    write(folder / "lib" / "code" / "deep.py", "def g(x):\n    import locket\n    return locket.__name__\n")
    hook = {
        "__editable___by_hook_finder.py": FINDER.format(folder=str(folder / "lib" / "code")),
        "__editable__.by_hook.pth": "import __editable___by_hook_finder as f; f.install()\n",
    }
    editable(site, "by-hook", folder / "lib", hook)
    install(site, "acme-alpha", {"acme/alpha/__init__.py": "X = 1\n"}, requires=["six"])
    install(site, "acme-beta", {"acme/beta.py": "X = 2\n"})
    return folder


def test_what_is_reached_of_editable_and_namespace_packages_travels(
    project: Path, site: Path, cache: Path
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(site), str(cache)],
        cwd=project,
        env={"PYTHONPATH": str(Path(graphlambda.__path__[0]).parent)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == EXPECTED
