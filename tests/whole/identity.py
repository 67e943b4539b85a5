"""A user's project that reaches code and data in every way that counts, and what runs it as its user would.

Each feature is a collection of its own: a run says what it gave, which functions it used and which were made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlambda.testing.distributions import install

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RUN_S = 120.0
"""How long one run may take on a loaded machine."""

SCRIPT = '''
"""The user's script."""
import abc
import functools
import json
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import dask.bag as db
from dask import delayed

import graphlambda
import edited
import helpers
import shelf
import tiny
from helpers import Model, deep, direct
from shelf.top import reached

FACTOR = 2
LIMIT = 5


def closure_of(captured):
    def closure(x):
        return x + captured

    return closure


def with_global(x):
    return x * FACTOR


def with_default(x, by=3):
    return x + by


def with_keyword(x, *, by=4):
    return x + by


def second(x):
    return first(x) + 1


def first(x):
    if x > 100 and x < 200:
        x = 0
    return x * 10


class Scale:
    step = 7

    def by_global(self, x):
        return min(x, LIMIT)

    def by_attribute(self, x):
        return x * self.step

    def by_helper(self, x):
        return direct(x) + helpers.plain(x)


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Pair:
    left: int
    colour: Colour = Colour.RED
    words: frozenset = field(default_factory=lambda: frozenset({"one", "two", "three"}))


class Shape(abc.ABC):
    unit = Pair(1)
    words = {"one", "two", "three"}

    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2 + self.unit.left

    @functools.cached_property
    def double(self):
        return self.area() * 2

    @functools.lru_cache(maxsize=3)
    def cached(self):
        return self.area() + 1000


@functools.cache
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def lazily(x):
    import lazy

    return lazy.work(x)


def lazily_in_a_package(x):
    from parcel import inner

    return inner.work(x)


def lazily_edited(x):
    import edited.later

    return edited.later.work(x)


def read(path):
    return Path(path).read_text().strip()


def failing(x):
    return 1 // (x - x)  # the user's own line


def numbers():
    return str(Path(__file__).parent / "numbers.txt")


scale = Scale()

features = {
    "closure": lambda: delayed(closure_of(1))(1),
    "global": lambda: delayed(with_global)(1),
    "default": lambda: delayed(with_default)(1),
    "keyword default": lambda: delayed(with_keyword)(1),
    "function of a function": lambda: delayed(second)(1),
    "global of a method": lambda: delayed(lambda x: Scale().by_global(x))(100),
    "class attribute": lambda: delayed(lambda x: Scale().by_attribute(x))(1),
    "bound method": lambda: delayed(scale.by_attribute)(1),
    "helper of a method": lambda: delayed(lambda x: Scale().by_helper(x))(1),
    "enum": lambda: delayed(lambda: Colour.BLUE.value)(),
    "dataclass": lambda: delayed(lambda x: sorted(Pair(x).words))(1),
    "abstract class": lambda: delayed(lambda x: [Square(x).area(), Square(x).double, Square(x).cached()])(3),
    "cache": lambda: delayed(fibonacci)(80),
    "direct": lambda: delayed(direct)(1),
    "module": lambda: delayed(lambda x: helpers.plain(x))(1),
    "helper of a helper": lambda: delayed(lambda x: helpers.deep(x))(1),
    "direct helper of a helper": lambda: delayed(deep)(1),
    "class of a module": lambda: delayed(Model(3).predict)(1),
    "relative import": lambda: delayed(reached)(1),
    "package": lambda: delayed(lambda x: shelf.top.reached(x))(1),
    "lazy import": lambda: delayed(lazily)(1),
    "lazy import of a package": lambda: delayed(lazily_in_a_package)(1),
    "editable": lambda: delayed(lambda x: edited.work(x))(1),
    "lazy editable": lambda: delayed(lazily_edited)(1),
    "data file": lambda: delayed(lambda: helpers.opened())(),
    "data file of a function": lambda: delayed(helpers.opened)(),
    "data file in a folder": lambda: delayed(lambda: helpers.opened_below())(),
    "input": lambda: delayed(read)(numbers()),
    "lines": lambda: db.read_text(numbers()).map(str.strip),
    "distribution": lambda: delayed(lambda x: tiny.work(x))(1),
    "function of a distribution": lambda: delayed(tiny.work)(1),
    "failing": lambda: delayed(failing)(1),
}


def outcome(name, only_deploy):
    program = graphlambda.compile(features[name]())
    deployment = graphlambda.deploy(program)
    value = notes = None
    try:
        (value,) = [None] if only_deploy else graphlambda.run(program, deployment)
    except ZeroDivisionError as error:
        notes = error.__notes__
    made = {"created": sorted(deployment.created), "functions": sorted(deployment.functions.values())}
    return {"value": value, "notes": notes, **made}


if __name__ == "__main__":
    asked = [name for name in sys.argv[1:] if name in features]
    print(json.dumps({name: outcome(name, "--deploy" in sys.argv) for name in asked or features}))
'''

HELPERS = '''
"""A local module."""
from pathlib import Path

import deeper
from deeper import inner


def plain(x):
    return x + 100


def direct(x):
    return x + 200


def deep(x):
    return deeper.inner(x) + inner(x)


class Model:
    bias = 0

    def __init__(self, weight):
        self.weight = weight

    def predict(self, x):
        return self.weight * x + self.bias


def opened():
    return Path(__file__).with_name("beside.txt").read_text()


def opened_below():
    return (Path(__file__).parent / "data" / "below.txt").read_text()
'''

FILES = {
    "project/script.py": SCRIPT,
    "project/helpers.py": HELPERS,
    "project/deeper.py": "def inner(x):\n    return x + 1000\n",
    "project/beside.txt": "beside",
    "project/data/below.txt": "below",
    "project/numbers.txt": "1\n",
    "project/shelf/__init__.py": "",
    "project/shelf/top.py": "from . import side\nfrom .low import BASE\n\n\ndef reached(x):\n    return side.work(x) + BASE\n",
    "project/shelf/side.py": "from .low import base\n\n\ndef work(x):\n    return x + base.BASE\n",
    "project/shelf/low/__init__.py": "from .base import BASE\n",
    "project/shelf/low/base.py": "BASE = 5\n",
    "project/lazy.py": "def work(x):\n    of_no_other = 1\n    return x + of_no_other\n",
    "project/parcel/__init__.py": "",
    "project/parcel/inner.py": "from .more import MORE\n\n\ndef work(x):\n    return x + MORE\n",
    "project/parcel/more.py": "MORE = 2\n",
    "edited/edited/__init__.py": "def work(x):\n    return x + 3\n",
    "edited/edited/later.py": "def work(x):\n    return x + 4\n",
}


@dataclass(frozen=True)
class Outcome:
    """What one feature gave in one run."""

    value: Any
    notes: list[str] | None
    created: list[str]
    functions: list[str]


@dataclass(frozen=True)
class Project:
    """A project in a folder, with an environment of its own in which two distributions are installed."""

    root: Path

    @property
    def site(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.root / "venv")}))

    def file(self, path: str) -> Path:
        return self.root / path

    def run(
        self, *arguments: str, folder: str = "project", variables: Mapping[str, str] | None = None
    ) -> dict[str, Outcome]:
        """Run features (default: all) in a process of their own."""
        finished = subprocess.run(
            [self.root / "venv" / "bin" / "python", "script.py", *arguments],
            cwd=self.root / folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", **(variables or {})},
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
        found = json.loads(finished.stdout.splitlines()[-1])
        return {name: Outcome(**outcome) for name, outcome in found.items()}

    def install(self, version: str, added: int, site: Path | None = None) -> None:
        """Install a version of a distribution, as an installer does that removes the one before."""
        site = site or self.site
        for old in site.glob("tiny-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        source = f"def work(x):\n    return x + {added}\n"
        files = {"tiny/__init__.py": "from tiny.core import work\n", "tiny/core.py": source}
        install(site, "tiny", files, version=version)


def make_project(root: Path) -> Project:
    """Write the project and make its environment; what it does not hold comes from the tests' own."""
    project = Project(root)
    for path, text in FILES.items():
        project.file(path).parent.mkdir(parents=True, exist_ok=True)
        project.file(path).write_text(text)
    venv.create(root / "venv", symlinks=True)
    here = [path for path in sys.path if path.endswith("-packages")]
    checkout = str(Path(__file__).parents[2])
    (project.site / "tests.pth").write_text("\n".join([checkout, *here]))
    editable = {"__editable__.edited.pth": f"{root / 'edited'}\n"}
    install(project.site, "edited", editable, editable=True)
    project.install("1.0", 10)
    return project


def changed(file: Path, old: str, new: str) -> Iterator[None]:
    """Replace a text that a file has once, for as long as the caller wants."""
    before = file.read_text()
    assert before.count(old) == 1, f"{file} has {old!r} {before.count(old)} times"
    file.write_text(before.replace(old, new))
    yield
    file.write_text(before)


def shipped(function: str) -> list[Path]:
    """Return the files of a function and its layers as they lie where Lambda would unzip them."""
    state = Path(os.environ["GRAPHLAMBDA_CACHE_DIR"]) / "local"
    made = json.loads((state / "functions" / f"{function}.json").read_text())
    digests = [made["code"]["digest"], *(layer["digest"] for layer in made["layers"])]
    folders = [state / "code" / digest for digest in digests]
    return [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]


def manifest_of(function: str) -> Any:
    """Return what a function's own files say of it."""
    (manifest,) = (file for file in shipped(function) if file.name == "manifest.json")
    return json.loads(manifest.read_text())
