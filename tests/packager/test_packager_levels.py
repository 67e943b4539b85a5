"""What does not fit is packed tighter, no tighter than it must be, and still imports.

Limits are arguments: with small ones, small distributions show what large ones would.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import ArtifactTooLargeError
from graphlambda.packager import Artifact, Target, build, read_installed
from graphlambda.packager.levels import Limits
from graphlambda.testing.distributions import install, operation_of, run_isolated, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from graphlambda.compiler.program import Operation

LIMITS = Limits(unzipped_bytes=3_500_000, zip_bytes=1_500_000, tmp_mb=50)
"""Room for our runtime, the decoder and about a megabyte."""

COMMENTS = "# a comment that byte code does not have\n" * 90_000
NOISE = random.Random(0).randbytes(4_000_000)
HANDLER = (
    "import sys; sys.path[:0] = sys.argv[1:3]\n"
    "from graphlambda_runtime.handler import _ENVIRONMENT\n"
    "print(_ENVIRONMENT.operation()(7))\n"
)
"""A cold start: importing our handler imports the operation, and before that unpacks what it needs."""


@dataclass(frozen=True)
class Workshop:
    """Builds with small limits from distributions of a folder of its own, beside this interpreter's."""

    target: Target
    cache: Path
    runtime: Path
    site: Path

    def build(self, operation: Operation, limits: Limits = LIMITS) -> Artifact:
        (artifact,) = build(
            [operation],
            self.target,
            cache=self.cache,
            runtime=self.runtime,
            limits=limits,
            installed=read_installed([str(self.site), *sys.path]),
        )
        return artifact


@pytest.fixture
def workshop(target: Target, cache: Path, runtime: Path, site: Path) -> Workshop:
    return Workshop(target, cache, runtime, site)


def calling(modules: Iterable[str], result: str) -> Operation:
    """Return an operation that imports modules and returns an expression."""
    lines = [f"import {module}" for module in modules]
    return operation_of(
        "\n".join([*lines, "", "def operation(p0):", f"    return {result}", ""]), imports=modules
    )


def start(artifact: Artifact, folder: Path) -> str:
    """Start a function as Lambda does, in an interpreter that sees nothing else; return what its operation returns."""
    task, opt = unpack(artifact, folder / "unzipped")
    (folder / "tmp").mkdir(exist_ok=True)
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", HANDLER, str(task), str(opt / "python")],
        env={"LANG": "C.UTF-8", "TMPDIR": str(folder / "tmp")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def files_of(artifact: Artifact) -> set[str]:
    """Return the names of all files in the layers, without metadata."""
    names: set[str] = set()
    for layer in artifact.layers:
        with zipfile.ZipFile(layer.zip_path) as archive:
            names |= {name for name in archive.namelist() if ".dist-info/" not in name}
    return names


def test_what_fits_keeps_its_source(workshop: Workshop) -> None:
    install(workshop.site, "small", {"small.py": "X = 1\n"})
    artifact = workshop.build(calling(["small"], "small.X"))
    assert (artifact.level, artifact.tmp_mb) == ("default", 0)
    assert "python/small.py" in files_of(artifact)


def test_byte_code_alone_imports_tells_file_and_line_and_what_its_metadata_say(
    workshop: Workshop, tmp_path: Path
) -> None:
    broken = f"{COMMENTS}def fail():\n    raise ValueError('here')\n"
    install(workshop.site, "wordy", {"wordy/__init__.py": broken, "wordy/not-a-module.py": "kept = True\n"})
    artifact = workshop.build(calling(["wordy"], "wordy.fail()"))
    assert artifact.level == "bare"
    compiled = f"python/wordy/__pycache__/not-a-module.{sys.implementation.cache_tag}.pyc"
    assert files_of(artifact) == {"python/wordy/__init__.pyc", "python/wordy/not-a-module.py", compiled}
    task, opt = unpack(artifact, tmp_path)
    statements = (
        "import importlib.metadata, operation, traceback\n"
        "try:\n    operation.operation(0)\n"
        "except ValueError as error:\n    last = traceback.extract_tb(error.__traceback__)[-1]\n"
        "held = [each.locate().exists() for each in importlib.metadata.files('wordy')]\n"
        "print(last.filename, last.lineno, all(held), len(held))"
    )
    assert run_isolated(task, opt, statements) == f"/opt/python/wordy/__init__.py {90_002} True 5"


def test_a_distribution_that_reads_its_own_source_keeps_it_and_others_do_not(
    workshop: Workshop, tmp_path: Path
) -> None:
    reads = "import inspect\n\ndef f():\n    return 'mine'\n\nTEXT = inspect.getsource(f)\n"
    install(workshop.site, "reader", {"reader.py": reads})
    install(workshop.site, "wordy", {"wordy.py": f"{COMMENTS}X = 1\n"})
    artifact = workshop.build(calling(["reader", "wordy"], "reader.TEXT.split()[-1]"))
    assert artifact.level == "bare"
    sources = {name for name in files_of(artifact) if name.endswith(".py")}
    assert sources == {"python/reader.py"}
    assert start(artifact, tmp_path) == "'mine'"


def heavy(workshop: Workshop) -> None:
    reads = "from pathlib import Path\nSIZE = len((Path(__file__).parent / 'noise').read_bytes())\n"
    install(workshop.site, "heavy", {"heavy/__init__.py": reads, "heavy/noise": NOISE})
    install(workshop.site, "light", {"light.py": "X = 1\n"})


def test_the_heaviest_distribution_is_unpacked_at_the_start_and_the_others_stay_in_layers(
    workshop: Workshop, tmp_path: Path
) -> None:
    heavy(workshop)
    source = "heavy.SIZE, heavy.__file__, importlib.metadata.version('heavy')"
    artifact = workshop.build(
        calling(["heavy", "light", "importlib.metadata"], source), Limits(unzipped_bytes=6_000_000)
    )
    assert artifact.level == "default"
    artifact = workshop.build(
        calling(["heavy", "light", "importlib.metadata"], source),
        Limits(unzipped_bytes=7_000_000, zip_bytes=1_500_000),
    )
    assert artifact.level == "archive"  # it would fit but for its zip, which no request carries
    assert all(layer.zip_bytes <= 1_500_000 for layer in artifact.layers)
    names = files_of(artifact)
    assert "python/light.py" in names
    assert not any(name.startswith("python/heavy/") for name in names)
    pieces = [layer for layer in artifact.layers if layer.name.startswith("gl-archive-")]
    assert [[str(each) for each in layer.requirements] for layer in pieces] == [["heavy==1.0"], [], []]
    place = tmp_path / "tmp" / "graphlambda-deps-"
    assert start(artifact, tmp_path).startswith(f"(4000000, '{place}")
    assert start(artifact, tmp_path).endswith("/heavy/__init__.py', '1.0')")
    assert artifact.tmp_mb == 5  # 4 MB and a tenth, rounded up
    with zipfile.ZipFile(artifact.zip_path) as archive:
        assert json.loads(archive.read("manifest.json"))["level"] == "archive"


def test_what_the_cache_has_is_the_same_artifact(workshop: Workshop, tmp_path: Path) -> None:
    heavy(workshop)
    limits = Limits(unzipped_bytes=7_000_000, zip_bytes=1_500_000)
    first = workshop.build(calling(["heavy"], "heavy.SIZE"), limits)
    assert workshop.build(calling(["heavy"], "heavy.SIZE"), limits) == first
    elsewhere = Workshop(workshop.target, tmp_path / "fresh", workshop.runtime, workshop.site)
    again = elsewhere.build(calling(["heavy"], "heavy.SIZE"), limits)
    assert (again.digest, [layer.digest for layer in again.layers]) == (
        first.digest,
        [layer.digest for layer in first.layers],
    )
    assert [layer.zip_path.read_bytes() for layer in again.layers] == [
        layer.zip_path.read_bytes() for layer in first.layers
    ]


def test_distributions_that_share_a_package_go_into_the_archive_together(
    workshop: Workshop, tmp_path: Path
) -> None:
    install(workshop.site, "one", {"both/__init__.py": "", "both/noise": NOISE})
    install(workshop.site, "two", {"both/two.py": "X = 2\n"})
    artifact = workshop.build(
        calling(["both", "both.two"], "both.two.X"), Limits(unzipped_bytes=7_000_000, zip_bytes=1_500_000)
    )
    assert artifact.level == "archive-all"
    assert start(artifact, tmp_path) == "2"


def test_what_cannot_even_be_unpacked_lists_the_largest_and_who_asks_for_them(workshop: Workshop) -> None:
    install(
        workshop.site, "huge", {"huge/__init__.py": "", "huge/data": bytes(4_000_000)}, requires=["large"]
    )
    install(workshop.site, "large", {"large/__init__.py": "", "large/data": bytes(1_000_000)})
    limits = Limits(unzipped_bytes=3_500_000, tmp_mb=2)
    with pytest.raises(ArtifactTooLargeError) as caught:
        workshop.build(
            operation_of(
                "import huge\n\ndef operation(p0):\n    return 0\n", name="greedy", imports=["huge"]
            ),
            limits,
        )
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("The operation greedy needs 6.")
    assert "a function and its layers may hold 3.5 MB" in lines[0]
    assert lines[1] == "       4.0 MB  huge==1.0  (asked for by huge)"
    assert "       1.0 MB  large==1.0  (asked for by huge → large)" in lines
    assert "(asked for by zstandard)" in "".join(lines)
    assert lines[-1].startswith("Split the step")
