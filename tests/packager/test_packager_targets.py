"""Artifacts for a machine that is not this one; what AWS would refuse; what a build leaves as it was."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphlambda.api.building import check_can_run, target_of, tell_of_aws
from graphlambda.config import environment, load
from graphlambda.errors import ProofError, TargetError, TargetWarning
from graphlambda.packager import Artifact, Target, build, managed_target, read_installed, this_target
from graphlambda.packager.elf_needs import parse
from graphlambda.packager.installers import NO_INSTALLERS, user_installers
from graphlambda.packager.levels import AWS
from graphlambda.packager.machines import LINUX_NAMES, managed_glibc, newer_runtime, this_glibc, this_python
from graphlambda.packager.static_proof import named_in
from graphlambda.testing.artifacts import make_artifact
from graphlambda.testing.distributions import install, operation_of
from graphlambda.testing.wheels import installers_of, make_wheel, shared_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.compiler.program import Operation

HERE = this_target().architecture
ELSEWHERE = "arm64" if HERE == "x86_64" else "x86_64"
FOREIGN = managed_target(ELSEWHERE)
TAG = f"py3-none-manylinux2014_{LINUX_NAMES[ELSEWHERE]}"
APP = "import app\n\n\ndef operation(p0):\n    return p0\n"


class Yard:
    """An installed distribution, its wheel for the other architecture, and a build from both."""

    def __init__(self, folder: Path, cache: Path, runtime: Path) -> None:
        self.folder, self.cache, self.runtime = folder, cache, runtime
        self.site = folder / "site-packages"
        self.site.mkdir()

    def has(self, here: Mapping[str, str | bytes], there: Mapping[str, str | bytes], tag: str = TAG) -> None:
        (install(self.site, "app", {"app/__init__.py": "", **here}) / "WHEEL").write_text(
            f"Tag: {tag.replace(LINUX_NAMES[ELSEWHERE], LINUX_NAMES[HERE])}\n"
        )
        make_wheel(self.folder / "links", "app", {"app/__init__.py": "", **there}, tag=tag)

    def build(self, operation: Operation, target: Target = FOREIGN) -> Artifact:
        (artifact,) = build(
            [operation],
            target,
            cache=self.cache,
            runtime=self.runtime,
            installed=read_installed([str(self.site)]),
            installers=installers_of(self.folder / "links", self.folder, pip=False),
        )
        return artifact


@pytest.fixture
def yard(tmp_path: Path, runtime: Path) -> Yard:
    return Yard(tmp_path, tmp_path / "cache", runtime)


def manifest_of(artifact: Artifact) -> dict[str, object]:
    with zipfile.ZipFile(artifact.zip_path) as archive:
        found: dict[str, object] = json.loads(archive.read("manifest.json"))
    return found


def test_another_architecture_is_imported_here_and_proved_statically_from_its_own_files(yard: Yard) -> None:
    own, other = shared_object(HERE), shared_object(ELSEWHERE, versions=["GLIBC_2.17"])
    yard.has({"app/_fast.abi3.so": own}, {"app/_fast.abi3.so": other})
    operation = operation_of(APP, imports=["app"])
    artifact = yard.build(operation)
    with zipfile.ZipFile(artifact.layers[0].zip_path) as archive:
        assert archive.read("python/app/_fast.abi3.so") == other
    found = manifest_of(artifact)
    assert (artifact.proof, found["proof"], artifact.target) == ("static", "static", FOREIGN)
    assert found["target"] == {"python": this_python(), "architecture": ELSEWHERE}
    assert yard.build(operation) == artifact
    here = yard.build(operation, this_target())
    assert (here.proof, manifest_of(here)["proof"]) == ("imported", "imported")
    assert here.layers[0].digest != artifact.layers[0].digest


def test_what_does_not_import_here_is_not_proved_for_another_machine(yard: Yard) -> None:
    yard.has({"app/bad.py": "1 / 0\n"}, {"app/bad.py": ""})
    with pytest.raises(ProofError, match="ZeroDivisionError"):
        yard.build(operation_of("import app.bad\n", imports=["app.bad"]))


def test_a_module_that_the_other_wheel_lacks_is_named(yard: Yard) -> None:
    yard.has({"app/extra.py": ""}, {})
    with pytest.raises(
        ProofError, match=rf"needs app\.extra, which app==1\.0 holds here.*not for Python.*{ELSEWHERE}"
    ):
        yard.build(operation_of("import app.extra\n", imports=["app.extra"]))


def test_a_library_that_no_distribution_holds_is_named_with_who_needs_it(yard: Yard) -> None:
    needing = shared_object(ELSEWHERE, libraries=["libc.so.6", "libown.so.1", "libmissing.so.3"])
    both = {
        "app/_fast.abi3.so": needing,
        "app.libs/libown-1.so": shared_object(ELSEWHERE, soname="libown.so.1"),
    }
    yard.has({"app/_fast.abi3.so": shared_object(HERE)}, both)
    with pytest.raises(
        TargetError, match=r"app==1\.0 cannot load.*app/_fast\.abi3\.so needs libmissing\.so\.3, which"
    ):
        yard.build(operation_of(APP, imports=["app"]))


def test_an_object_that_lacks_its_library_here_too_is_optional(yard: Yard) -> None:
    libraries = ["libc.so.6", "libno-such-machine.so.1"]
    own, other = (shared_object(machine, libraries=libraries) for machine in (HERE, ELSEWHERE))
    yard.has({"app/_pool.abi3.so": own}, {"app/_pool.abi3.so": other})
    assert yard.build(operation_of(APP, imports=["app"])).proof == "static"


def test_a_module_for_this_machine_in_a_wheel_for_any_is_found_out(yard: Yard) -> None:
    spec = importlib.util.find_spec("markupsafe._speedups")
    assert spec is not None
    assert spec.origin is not None
    files = {"app/_speedups.abi3.so": Path(spec.origin).read_bytes()}
    yard.has(files, files, tag="py3-none-any")
    with pytest.raises(TargetError, match=rf"app==1\.0 cannot load.*app/_speedups\.abi3\.so is for {HERE}"):
        yard.build(operation_of(APP, imports=["app", "app._speedups"]))


def test_the_users_own_shared_object_does_not_travel_to_another_machine(yard: Yard) -> None:
    yard.has({}, {})
    operation = operation_of(APP, name="mine", imports=["app"], files={"own.abi3.so": shared_object(HERE)})
    with pytest.raises(
        TargetError, match=rf"The operation mine cannot load.*own\.abi3\.so is for {HERE}.*Build it for"
    ):
        yard.build(operation)


def test_the_modules_that_an_operation_names_are_read_from_its_imports() -> None:
    source = "import a.b, c as d\nfrom e.f import g\n\ndef operation(p0):\n    return p0\n"
    assert named_in(source) == {"a.b", "c", "e.f"}


def test_numpy_for_another_architecture_comes_from_the_users_index(tmp_path: Path, runtime: Path) -> None:
    target = replace(FOREIGN, glibc="2.34")
    (artifact,) = build(
        [operation_of("import numpy\n\n\ndef operation(p0):\n    return numpy.sum(p0)\n", imports=["numpy"])],
        target,
        cache=tmp_path,
        runtime=runtime,
        installers=user_installers(environment()),
    )
    with zipfile.ZipFile(artifact.layers[0].zip_path) as archive:
        objects = [parse(archive.read(name)) for name in archive.namelist() if ".so" in name]
    assert len(objects) > 10
    assert {needs.machine for needs in objects if needs} == {ELSEWHERE}
    assert [each.distribution for each in artifact.requirements] == ["numpy"]
    assert artifact.proof == "static"


def test_what_is_too_new_for_aws_is_built_for_this_machine_and_remembered(yard: Yard) -> None:
    newer = shared_object(HERE, versions=[f"GLIBC_{this_glibc()}"])
    yard.has({"app/_fast.abi3.so": newer}, {})
    artifact = yard.build(operation_of(APP, imports=["app"]), this_target())
    assert artifact.aws_refuses == (f"app==1.0: app/_fast.abi3.so needs glibc {this_glibc()}",)
    assert yard.build(operation_of(APP, imports=["app"]), this_target()) == artifact


def test_a_session_is_warned_once_of_what_aws_would_refuse(tmp_path: Path) -> None:
    settings = load({"cache_dir": tmp_path}, {"HOME": str(tmp_path)})
    artifact = replace(make_artifact(tmp_path, "one"), aws_refuses=("app==1.0: a.so needs glibc 2.99",))
    with pytest.warns(
        TargetWarning, match=r"AWS \(.*\) would refuse:\n  app==1\.0: a\.so needs glibc 2\.99$"
    ):
        tell_of_aws([artifact], settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_of_aws([artifact], settings)
        tell_of_aws([make_artifact(tmp_path, "two")], settings)


def test_the_managed_runtimes_stand_on_the_glibc_that_aws_says() -> None:
    assert {python: managed_glibc(python) for python in ("3.11", "3.12", "3.13")} == {
        "3.11": "2.26",
        "3.12": "2.34",
        "3.13": "2.34",
    }


@pytest.mark.parametrize("endpoint", ["aws", "http://127.0.0.1:9"])
def test_functions_elsewhere_are_for_aws_unless_their_endpoint_says_what_it_is(
    tmp_path: Path, endpoint: str
) -> None:
    elsewhere = load({"endpoint": endpoint}, {"HOME": str(tmp_path)})
    assert target_of(elsewhere) == managed_target(HERE)
    assert target_of(elsewhere, libc="glibc 2.99") == Target(
        python=this_python(), architecture=HERE, glibc="2.99"
    )
    assert target_of(elsewhere, ELSEWHERE, "musl 1.2") == Target(
        python=this_python(), architecture=ELSEWHERE, glibc=""
    )


def test_a_later_python_has_a_newer_c_library_where_aws_has_one() -> None:
    old = Target(python="3.11", architecture=HERE, glibc="2.26")
    assert newer_runtime(old) == Target(python="3.12", architecture=HERE, glibc="2.34")
    assert newer_runtime(replace(old, python="3.12", glibc="2.34")) is None


def test_the_local_lambda_counts_this_machines_glibc_and_refuses_another_architecture(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert target_of(load({}, home)) == Target(python=this_python(), architecture=HERE, glibc=this_glibc())
    foreign = load({"architecture": ELSEWHERE}, home)
    assert target_of(foreign) == FOREIGN
    with pytest.raises(TargetError, match=rf"architecture='{ELSEWHERE}'.*this machine, which is {HERE}"):
        check_can_run(foreign)
    check_can_run(load({"architecture": HERE}, home))
    check_can_run(load({"architecture": ELSEWHERE, "endpoint": "http://127.0.0.1:9"}, home))


def state_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return mode, size and times of every file; the time of its last change tells of any write, chmod or link."""
    found = {path: path.lstat() for path in folder.rglob("*") if "__pycache__" not in path.parts}
    return {
        str(path): (stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if not path.is_dir()
        else ()
        for path, stat in found.items()
    }


def contents_of(folder: Path, name: str) -> dict[str, str]:
    paths = read_installed([str(folder)]).distributions[name].files
    return {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in paths}


def test_a_build_with_every_transformation_leaves_all_of_site_packages_as_it_was(
    tmp_path: Path, runtime: Path
) -> None:
    """Pruned, shortened, compiled, bare, and as that does not fit, in an archive: each writes files of its own."""
    folder = read_installed().distributions["numpy"].root
    before = state_of(folder), contents_of(folder, "numpy")
    operation = operation_of(
        "import numpy\n\n\ndef operation(p0):\n    return numpy.sum(p0)\n", imports=["numpy"]
    )
    (artifact,) = build(
        [operation],
        this_target(),
        cache=tmp_path,
        runtime=runtime,
        limits=replace(AWS, unzipped_bytes=30_000_000),
        installers=NO_INSTALLERS,
    )
    assert artifact.level in {"archive", "archive-all"}
    assert (state_of(folder), contents_of(folder, "numpy")) == before
