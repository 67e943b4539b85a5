"""Requirements follow from evidence, pinned at what is installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import MissingDistributionError
from graphlambda.packager import Installed, Target, read_installed, requirements_of
from graphlambda.packager.requirements import asked_by, read_needs, requirement_graph
from graphlambda.testing.distributions import install, operation_of

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.compiler.program import Operation


def needs(operation: Operation, installed: Installed, target: Target, *extra: str) -> list[str]:
    return [str(each) for each in requirements_of(operation, installed, target, extra)]


@pytest.fixture
def installed(site: Path) -> Installed:
    install(
        site, "app", {"app.py": ""}, version="2", requires=["lib[fast]>=1", "absent", 'win; os_name == "nt"']
    )
    install(
        site,
        "lib",
        {"lib/__init__.py": ""},
        requires=['rust; extra == "fast"', 'slow; extra == "slow"', "app"],
    )
    for name in ("rust", "slow", "win", "other"):
        install(site, name, {f"{name}.py": ""})
    return read_installed([str(site)])


def test_the_closure_follows_extras_and_the_targets_markers(installed: Installed, target: Target) -> None:
    operation = operation_of("", imports=["app"])
    assert needs(operation, installed, target) == ["app==2", "lib==1.0", "rust==1.0"]


def test_inputs_are_evidence_as_much_as_code(installed: Installed, target: Target) -> None:
    assert needs(operation_of("", value_imports=["other"]), installed, target) == ["other==1.0"]


def test_the_standard_library_our_runtime_and_unknown_modules_need_nothing(
    installed: Installed, target: Target
) -> None:
    imports = ["json", "os.path", "graphlambda_runtime.code", "__main__", "no_such_module.x"]
    assert needs(operation_of("", imports=imports), installed, target) == []


def test_a_users_own_module_shadows_a_distribution(installed: Installed, target: Target) -> None:
    operation = operation_of("", imports=["other", "rust"], files={"other.pyc": b"", "pack/rust.pyc": b""})
    assert needs(operation, installed, target) == ["rust==1.0"]


def test_requirements_that_the_user_adds_are_followed_too(installed: Installed, target: Target) -> None:
    assert needs(operation_of(""), installed, target, "lib[slow]", "Other") == [
        "app==2",
        "lib==1.0",
        "other==1.0",
        "rust==1.0",
        "slow==1.0",
    ]


@pytest.mark.parametrize("text", ["absent", "not a name!"])
def test_a_requirement_that_is_not_installed_is_refused(
    installed: Installed, target: Target, text: str
) -> None:
    with pytest.raises(MissingDistributionError, match=text):
        needs(operation_of(""), installed, target, text)


def test_a_module_that_is_found_but_is_nobodys_is_refused_with_its_place(
    site: Path, installed: Installed, target: Target
) -> None:
    (site / "stray.py").write_text("")
    with pytest.raises(MissingDistributionError, match=r"stray.*stray\.py.*Install it with pip"):
        needs(operation_of("", imports=["stray"]), installed, target)


def test_an_editable_install_is_the_users_code_and_no_requirement(site: Path, target: Target) -> None:
    install(site, "mine", {}, editable=True)
    install(site, "app", {"app.py": ""}, requires=["mine"])
    operation = operation_of("", imports=["app"])
    assert needs(operation, read_installed([str(site)]), target) == ["app==1.0"]


def test_what_conda_installed_is_a_name_and_version_like_any_other(site: Path, target: Target) -> None:
    install(site, "heavy", {"heavy.py": ""}, installer="conda")
    assert needs(operation_of("", imports=["heavy"]), read_installed([str(site)]), target) == ["heavy==1.0"]


def test_a_namespace_that_leads_to_a_module_brings_no_other_part_of_it(site: Path, target: Target) -> None:
    install(site, "acme-alpha", {"acme/alpha.py": ""})
    install(site, "acme-beta", {"acme/beta.py": ""})
    installed = read_installed([str(site)])
    led = operation_of("", imports=["acme", "acme.alpha"])
    assert needs(led, installed, target) == ["acme-alpha==1.0"]
    assert needs(operation_of("", imports=["acme"]), installed, target) == [
        "acme-alpha==1.0",
        "acme-beta==1.0",
    ]


def test_who_asked_for_a_distribution_is_known(installed: Installed, target: Target) -> None:
    graph = requirement_graph(["app"], installed, target)
    assert asked_by(graph, "rust") == "app → lib[fast] → rust"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("numpy.linalg", {"numpy"}),
        ("dask.array.reductions", {"dask", "numpy"}),
        ("dask.dataframe.core", {"dask", "numpy", "pandas", "pyarrow"}),
        ("pandas", {"pandas", "numpy"}),
        ("sklearn.linear_model", {"scikit-learn", "numpy", "scipy", "joblib"}),
        ("flox.core", {"flox", "numpy-groupies", "pandas", "scipy"}),
        ("xarray", {"xarray", "numpy", "pandas", "packaging"}),
        ("xarray.backends.netCDF4_", {"netcdf4", "cftime", "numpy"}),
    ],
)
def test_real_distributions_need_what_they_need(module: str, names: set[str], target: Target) -> None:
    found = requirements_of(operation_of("", imports=[module]), read_installed(), target)
    assert names <= {each.distribution for each in found}


def test_xarray_alone_does_not_bring_pyarrow_nor_an_array_operation_pandas(target: Target) -> None:
    installed = read_installed()
    for module, absent in (("xarray", "pyarrow"), ("dask.array", "pandas")):
        found = requirements_of(operation_of("", imports=[module]), installed, target)
        assert absent not in {each.distribution for each in found}


def test_each_reviewed_need_says_why() -> None:
    assert all(need.module and need.distributions and need.reason for need in read_needs())


def test_finding_requirements_imports_nothing_of_them() -> None:
    code = (
        "import sys; from graphlambda.packager import Target, read_installed;"
        "from graphlambda.packager.requirements import requirement_graph; before = set(sys.modules);"
        "requirement_graph(['sklearn.tree', 'xarray'], read_installed(), Target(python='3.11', architecture='arm64'));"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} & {'sklearn', 'scipy', 'joblib', 'xarray'})"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert found.stdout.strip() == "set()"
