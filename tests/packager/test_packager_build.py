"""Artifacts: what is in them, what is not, and that they are the same wherever they are made."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import graphlambda
from graphlambda.errors import (
    MissingDistributionError,
    PackageError,
    ProofError,
    TargetError,
)
from graphlambda.packager import Artifact, Installed, Target, build, read_installed
from graphlambda.testing.distributions import install, operation_of, run_isolated, unpack

if TYPE_CHECKING:
    from graphlambda.compiler.program import Operation

SUM = "import numpy\n\n\ndef operation(p0):\n    return numpy.sum(p0)\n"
PLAIN = "def operation(p0):\n    return p0\n"


class Workshop:
    """Builds one operation after another with the same target, runtime and cache."""

    def __init__(self, target: Target, cache: Path, runtime: Path) -> None:
        self.target = target
        self.cache = cache
        self.runtime = runtime

    def build(self, *operations: Operation, installed: Installed | None = None) -> tuple[Artifact, ...]:
        return build(operations, self.target, cache=self.cache, runtime=self.runtime, installed=installed)

    def one(self, operation: Operation, site: Path | None = None) -> Artifact:
        """Build one operation, from the distributions of `site` if given, else of this interpreter."""
        (artifact,) = self.build(operation, installed=read_installed([str(site)]) if site else None)
        return artifact


@pytest.fixture
def workshop(target: Target, cache: Path, runtime: Path) -> Workshop:
    return Workshop(target, cache, runtime)


def names(artifact: Artifact) -> list[str]:
    return [each.distribution for each in artifact.requirements]


def test_an_artifact_runs_its_operation_in_isolation_and_cannot_import_what_it_does_not_hold(
    workshop: Workshop, tmp_path: Path
) -> None:
    artifact = workshop.one(operation_of(SUM, imports=["numpy"]))
    task, opt = unpack(artifact, tmp_path)
    statements = "import operation, numpy; print(operation.operation(numpy.arange(4)), numpy.__file__)"
    total, file = run_isolated(task, opt, statements).split()
    assert total == "6"
    assert file.startswith(str(opt))
    with pytest.raises(AssertionError, match="No module named 'pandas'"):
        run_isolated(task, opt, "import pandas")


def test_a_function_holds_our_runtime_its_operation_and_its_manifest_and_nothing_else(
    workshop: Workshop, runtime: Path
) -> None:
    artifact = workshop.one(operation_of(PLAIN, name="plain-one"))
    with zipfile.ZipFile(artifact.zip_path) as archive:
        held = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
    sources = {f"graphlambda_runtime/{path.name}" for path in runtime.glob("*.py")}
    compiled = {
        f"graphlambda_runtime/__pycache__/{path.stem}.{sys.implementation.cache_tag}.pyc"
        for path in runtime.glob("*.py")
    }
    assert held == {"operation.py", "manifest.json", *sources, *compiled}
    assert (manifest["operation"], manifest["name"]) == (artifact.operation, "plain-one")
    assert artifact.layers == ()
    assert artifact.handler == "graphlambda_runtime.handler.handler"


def test_byte_code_is_used_as_it_is_and_names_files_as_a_function_sees_them(
    workshop: Workshop, tmp_path: Path
) -> None:
    task, opt = unpack(workshop.one(operation_of(SUM, imports=["numpy"])), tmp_path)
    compiled = run_isolated(task, opt, "import numpy._core.fromnumeric as m; print(m.__cached__)")
    content = Path(compiled).read_bytes()
    flags = int.from_bytes(content[4:8], "little")
    assert flags == 0b01  # a hash that Python does not check: nothing is compiled, whatever the zip's dates
    assert marshal.loads(content[16:]).co_filename == "/opt/python/numpy/_core/fromnumeric.py"


def test_metadata_of_what_travels_can_be_asked_for(workshop: Workshop, tmp_path: Path) -> None:
    task, opt = unpack(workshop.one(operation_of(SUM, imports=["numpy"])), tmp_path)
    statements = (
        "import importlib.metadata as m, numpy;"
        "assert m.version('numpy') == numpy.__version__;"
        "print(all(each.locate().exists() for each in m.files('numpy')), len(m.files('numpy')) > 100)"
    )
    assert run_isolated(task, opt, statements) == "True True"


def test_the_users_own_files_and_by_value_code_travel(workshop: Workshop, tmp_path: Path) -> None:
    module = compile("def double(x):\n    return 2 * x\n", "<0123456789abcdef>", "exec")
    source = (
        "from graphlambda_runtime.code import function, load\nimport helpers.maths\n(code,) = load(__file__, 'triple')\n"
        "triple = function(code, {})\n\ndef operation(p0):\n    return triple(helpers.maths.double(p0))\n"
    )
    triple = compile("lambda x: 3 * x", "<fedcba9876543210>", "eval").co_consts[0]
    pyc = importlib.util.MAGIC_NUMBER + struct.pack("<IQ", 0b01, 0) + marshal.dumps(module)
    files = {"helpers/__init__.pyc": pyc, "helpers/maths.pyc": pyc, "helpers/table.csv": b"a,b\n"}
    operation = operation_of(
        source, code=marshal.dumps({"triple": triple}), imports=["helpers.maths"], files=files
    )
    task, opt = unpack(workshop.one(operation), tmp_path)
    assert run_isolated(task, opt, "import operation; print(operation.operation(7))") == "42"
    assert (task / "user" / "helpers" / "table.csv").read_bytes() == b"a,b\n"


@pytest.mark.parametrize("path", ["../evil.py", "/etc/evil.py", "a/../../evil.py", "a\\..\\evil.py"])
def test_a_users_file_cannot_leave_its_folder(workshop: Workshop, path: str) -> None:
    with pytest.raises(PackageError, match="outside its folder"):
        workshop.one(operation_of(PLAIN, files={path: b""}))


def test_a_module_that_evidence_did_not_show_is_found_by_importing_and_remembered(
    workshop: Workshop, site: Path
) -> None:
    install(site, "app", {"app.py": "import soft\n"})
    install(site, "soft", {"soft/__init__.py": "import softer\n"})
    install(site, "softer", {"softer.py": ""})
    operation = operation_of("import app\n" + PLAIN, imports=["app"])
    assert names(workshop.one(operation, site)) == ["app", "soft", "softer"]
    learnt = json.loads((workshop.cache / "learnt" / f"{operation.id}.json").read_text())
    assert learnt == ["soft", "softer"]


def test_a_missing_module_is_found_behind_an_error_that_hides_it(workshop: Workshop, site: Path) -> None:
    hides = "try:\n    import soft\nexcept ImportError as e:\n    raise RuntimeError('please install it') from e\n"
    install(site, "app", {"app.py": hides})
    install(site, "soft", {"soft.py": ""})
    operation = operation_of("import app # hides\n" + PLAIN, imports=["app"])
    assert names(workshop.one(operation, site)) == ["app", "soft"]


def test_an_optional_import_that_is_not_installed_brings_nothing(workshop: Workshop, site: Path) -> None:
    install(site, "app", {"app.py": "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None\n"})
    operation = operation_of("import app # optional\n" + PLAIN, imports=["app", "nowhere"])
    assert names(workshop.one(operation, site)) == ["app"]


def test_a_tests_module_that_is_missed_at_run_time_only_is_put_back(
    workshop: Workshop, site: Path, tmp_path: Path
) -> None:
    files = {
        "app/__init__.py": "import importlib\nimportlib.import_module('app.' + 'tests.data')\n",
        "app/tests/__init__.py": "",
        "app/tests/data.py": "",
        "app/tests/test_app.py": "",
    }
    install(site, "app", files)
    artifact = workshop.one(operation_of("import app # dynamic\n" + PLAIN, imports=["app"]), site)
    _, opt = unpack(artifact, tmp_path / "out")
    assert sorted(path.name for path in (opt / "python" / "app" / "tests").glob("*.py")) == [
        "__init__.py",
        "data.py",
    ]


def test_namespace_packages_of_several_distributions_meet_again(
    workshop: Workshop, site: Path, tmp_path: Path
) -> None:
    install(site, "acme-alpha", {"acme/alpha.py": "X = 1\n"})
    install(site, "acme-beta", {"acme/beta.py": "X = 2\n"})
    install(site, "acme-gamma", {"acme/gamma.py": "X = 3\n"})
    source = "import acme.alpha, acme.beta\n\ndef operation(p0):\n    return acme.alpha.X + acme.beta.X\n"
    artifact = workshop.one(operation_of(source, imports=["acme.alpha", "acme.beta"]), site)
    assert names(artifact) == ["acme-alpha", "acme-beta"]
    task, opt = unpack(artifact, tmp_path / "out")
    assert run_isolated(task, opt, "import operation; print(operation.operation(0))") == "3"


def test_a_file_that_two_distributions_claim_travels_as_it_lies_there(workshop: Workshop, site: Path) -> None:
    install(site, "one", {"both/__init__.py": "A = 1\n", "both/one.py": ""})
    install(site, "two", {"both/__init__.py": "B = 2\n", "both/two.py": ""})
    operation = operation_of("import both.one, both.two\n" + PLAIN, imports=["both.one", "both.two"])
    assert names(workshop.one(operation, site)) == ["one", "two"]


def test_what_does_not_import_says_operation_reason_and_remedy(workshop: Workshop, site: Path) -> None:
    install(site, "app", {"app.py": "raise RuntimeError('no licence')\n"})
    operation = operation_of("import app\n\n" + PLAIN, name="licensed", imports=["app"])
    with pytest.raises(
        ProofError, match=r"licensed does not import.*RuntimeError: no licence.*`requirements=`"
    ):
        workshop.one(operation, site)


def test_a_module_that_nobody_provides_is_named(workshop: Workshop) -> None:
    with pytest.raises(MissingDistributionError, match="No installed distribution provides no_such_module"):
        workshop.one(operation_of("import no_such_module\n" + PLAIN, imports=["no_such_module"]))


def test_an_import_that_kills_the_interpreter_is_a_failed_proof(workshop: Workshop) -> None:
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n" + PLAIN
    with pytest.raises(ProofError, match="died by SIGSEGV"):
        workshop.one(operation_of(source))


def test_building_calls_nothing_of_the_users(workshop: Workshop, tmp_path: Path) -> None:
    witness = tmp_path / "called"
    source = f"def operation(p0):\n    open({str(witness)!r}, 'w').close()\n"
    workshop.one(operation_of(source, files={"mine.py": f"open({str(witness)!r}, 'w')".encode()}))
    assert not witness.exists()


def test_an_edited_or_missing_file_of_a_distribution_is_refused_with_the_remedy(
    workshop: Workshop, site: Path
) -> None:
    install(site, "app", {"app.py": "X = 1\n", "gone.py": ""})
    (site / "app.py").write_text("X = 2\n")
    operation = operation_of("import app # edited\n" + PLAIN, imports=["app"])
    with pytest.raises(PackageError, match=r"app 1\.0.*app\.py is not what RECORD says.*--force-reinstall"):
        workshop.one(operation, site)
    (site / "app.py").write_text("X = 1\n")
    (site / "gone.py").unlink()
    with pytest.raises(PackageError, match=r"gone\.py is missing"):
        workshop.one(operation, site)
    (site / "gone.py").write_text("")
    assert names(workshop.one(operation, site)) == ["app"]


def test_another_version_of_a_distribution_is_another_artifact(workshop: Workshop, site: Path) -> None:
    operation = operation_of("import app # versions\n" + PLAIN, imports=["app"])
    digests = set()
    for version in ("1.0", "1.1"):
        info = install(site, "app", {"app.py": f"V = {version}\n"}, version=version)
        artifact = workshop.one(operation, site)
        assert [str(each) for each in artifact.requirements] == [f"app=={version}"]
        digests.add(artifact.digest)
        shutil.rmtree(info)
    assert len(digests) == 2


def test_another_python_and_a_machine_that_lambda_has_not_are_refused(
    cache: Path, runtime: Path, target: Target
) -> None:
    for wrong, words in (
        (Target(python="2.7", architecture=target.architecture), "Python 2.7"),
        (Target(python=target.python, architecture="riscv64"), "Lambda has x86_64 and arm64"),
    ):
        with pytest.raises(TargetError, match=words):
            build([], wrong, cache=cache, runtime=runtime)


def test_the_second_build_makes_nothing(workshop: Workshop) -> None:
    operations = [operation_of(f"{SUM}# {number}\n", imports=["numpy"]) for number in range(10)]
    first = workshop.build(*operations)
    told: list[str] = []
    again = build(
        operations,
        workshop.target,
        cache=workshop.cache,
        runtime=workshop.runtime,
        on_progress=lambda what, _done, _of: told.append(what),
    )
    assert again == first
    assert told == []


def test_an_edit_of_one_operation_keeps_every_layer_and_the_other_artifacts(workshop: Workshop) -> None:
    kept = operation_of(SUM, imports=["numpy"])
    before = workshop.build(kept, operation_of(SUM + "# old\n", imports=["numpy"]))
    after = workshop.build(kept, operation_of(SUM + "# new\n", imports=["numpy"]))
    assert after[0] == before[0]
    assert after[1].layers == before[1].layers
    assert after[1].digest != before[1].digest


def test_a_damaged_zip_is_made_again(workshop: Workshop) -> None:
    operation = operation_of(SUM + "# damaged\n", imports=["numpy"])
    before = workshop.one(operation)
    for path in (before.zip_path, before.layers[0].zip_path):
        path.write_bytes(path.read_bytes()[:1000])
    after = workshop.one(operation)
    assert after == before
    assert all(zipfile.ZipFile(path).testzip() is None for path in (after.zip_path, after.layers[0].zip_path))


def test_bytes_of_by_value_code_are_no_part_of_identity(workshop: Workshop) -> None:
    one = operation_of(PLAIN + "# by value\n", code=marshal.dumps({"f": "a"}))
    two = operation_of(PLAIN + "# by value\n", code=marshal.dumps({"f": "a"}, 2))
    assert one.code != two.code
    assert workshop.one(one).digest == workshop.one(two).digest


BUILD_ELSEWHERE = """
import json, os, sys, pathlib
os.umask(int(sys.argv[4], 8))
from graphlambda.packager import Target, build, read_installed
from graphlambda.testing.distributions import operation_of
site, cache, runtime = map(pathlib.Path, sys.argv[1:4])
(artifact,) = build(
    [operation_of("import app, dep\\n\\ndef operation(p0):\\n    return {1, 2, 'x'}\\n", imports=["app", "dep"],
                  files={"mine.py": b"X = 1"})],
    Target(python=sys.argv[5], architecture=sys.argv[6]), cache=cache, runtime=runtime,
    installed=read_installed([str(site)]),
)
print(json.dumps([artifact.digest, [layer.digest for layer in artifact.layers], [layer.name for layer in artifact.layers],
                  artifact.size_bytes, artifact.zip_path.read_bytes().hex()]))
"""


def elsewhere(
    site: Path, cache: Path, runtime: Path, target: Target, cwd: Path, seed: str, umask: str
) -> subprocess.Popen[str]:
    root = Path(graphlambda.__path__[0]).parent
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "TZ": f"UTC+{seed}", "LANG": "C.UTF-8"}
    arguments = [str(site), str(cache), str(runtime), umask, target.python, target.architecture]
    return subprocess.Popen(
        [sys.executable, "-c", BUILD_ELSEWHERE, *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def apps(site: Path) -> None:
    sets = "NAMES = {'a', 'b', 'c'}\ndef f(x):\n    return x in {'p', 'q', 'r', 1, 2}\n"
    install(site, "app", {"app.py": sets, "app_data.json": "{}"}, requires=["dep"])
    install(
        site,
        "dep",
        {f"dep/m{number}.py": f"{sets}\nV = {number}\n" for number in range(40)} | {"dep/__init__.py": ""},
    )


def test_hash_seed_umask_zone_and_folder_change_nothing(
    site: Path, tmp_path: Path, runtime: Path, target: Target
) -> None:
    apps(site)
    (tmp_path / "cwd").mkdir()
    running = [
        elsewhere(site, tmp_path / "one", runtime, target, tmp_path / "cwd", "1", "022"),
        elsewhere(site, tmp_path / "two", runtime, target, tmp_path, "2", "077"),
    ]
    one, two = (json.loads(process.communicate(timeout=120)[0]) for process in running)
    assert one == two


def test_two_processes_at_once_build_the_same_in_one_cache(
    site: Path, tmp_path: Path, runtime: Path, target: Target
) -> None:
    apps(site)
    cache = tmp_path / "shared"
    running = [elsewhere(site, cache, runtime, target, tmp_path, str(seed), "022") for seed in range(3)]
    results = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert results[0] == results[1] == results[2]
    assert list((cache / "scratch").iterdir()) == []


def state_of(folder: Path) -> dict[str, tuple[int, int, str]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_users_site_packages_stays_as_it_is(tmp_path: Path, runtime: Path, target: Target) -> None:
    installed = read_installed()
    roots = [installed.distributions[name].root for name in ("numpy", "six")]
    watched = [roots[0] / "numpy", roots[0] / "numpy.libs", installed.distributions["numpy"].info]
    before = [state_of(folder) for folder in watched]
    links = (roots[0] / "numpy" / "__init__.py").stat().st_nlink
    build([operation_of(SUM, imports=["numpy"])], target, cache=tmp_path / "fresh", runtime=runtime)
    assert [state_of(folder) for folder in watched] == before
    assert (roots[0] / "numpy" / "__init__.py").stat().st_nlink == links


def test_no_path_of_this_machine_is_in_an_artifact(workshop: Workshop) -> None:
    artifact = workshop.one(operation_of(SUM + "# paths\n", imports=["numpy"]))
    site = str(read_installed().distributions["numpy"].root).encode()
    for path in (artifact.zip_path, *(layer.zip_path for layer in artifact.layers)):
        with zipfile.ZipFile(path) as archive:
            leaks = [
                name
                for name in archive.namelist()
                if site in (content := archive.read(name)) or str(workshop.cache).encode() in content
            ]
        assert leaks == []
