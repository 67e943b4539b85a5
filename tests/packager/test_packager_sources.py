"""Files come from where they fit the target; what cannot be had is named at once, with the nearest that can."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, TypedDict

import pytest

from graphlambda.errors import PackageError, TargetError
from graphlambda.packager import Target, read_installed
from graphlambda.packager.cache import Cache
from graphlambda.packager.installers import Installers, pip_settings, uv_environment
from graphlambda.packager.machines import (
    LINUX_NAMES,
    newer_runtime,
    platform_tags,
    this_architecture,
    this_python,
)
from graphlambda.packager.recipes import read_recipes, recipes_folder
from graphlambda.packager.slim import slim
from graphlambda.packager.sources import Located, located, nearest_version
from graphlambda.packager.wheels import unpack_wheel
from graphlambda.testing.distributions import install
from graphlambda.testing.wheels import installers_of, make_wheel, shared_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HERE = this_architecture()
ELSEWHERE = "arm64" if HERE == "x86_64" else "x86_64"
OLD = Target(python=this_python(), architecture=HERE, glibc="2.26")
NEW = Target(python=this_python(), architecture=HERE, glibc="2.34")
FOREIGN = Target(python=this_python(), architecture=ELSEWHERE, glibc="2.34")
CP = f"cp{this_python().replace('.', '')}"


def tagged(info: Path, *tags: str) -> Path:
    """Say in a distribution's metadata which wheel it came as."""
    (info / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))
    return info


def linux_tag(platform: str, architecture: str = HERE) -> str:
    return f"{CP}-{CP}-{platform}_{LINUX_NAMES[architecture]}"


class Tools(TypedDict):
    """Which installers there are."""

    uv: bool
    pip: bool


BOTH, UV, PIP, NOTHING = (
    Tools(uv=True, pip=True),
    Tools(uv=True, pip=False),
    Tools(uv=False, pip=True),
    Tools(uv=False, pip=False),
)
either = pytest.mark.parametrize("tools", [UV, PIP], ids=["uv", "pip"])


class Shop:
    """A folder of installed distributions, a folder of wheels, and a cache between them."""

    def __init__(self, folder: Path) -> None:
        self.site, self.links, self.cache = (
            folder / "site-packages",
            folder / "links",
            Cache(folder / "cache"),
        )
        self.folder = folder
        self.site.mkdir()
        self.links.mkdir()

    def find(self, *names: str, target: Target, tools: Tools | None = None) -> Mapping[str, Located]:
        installed = read_installed([str(self.site)]).distributions
        found = installers_of(self.links, self.folder, **(tools or BOTH))
        return located([installed[name] for name in names], target, self.cache, found)

    def one(self, name: str, target: Target, tools: Tools | None = None) -> Located:
        return self.find(name, target=target, tools=tools)[name]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_installed_files_that_load_on_the_target_are_taken_as_they_lie(shop: Shop) -> None:
    tagged(install(shop.site, "pure", {"pure.py": ""}), "py3-none-any")
    content = shared_object(HERE, versions=["GLIBC_2.17"])
    tagged(install(shop.site, "fast", {"fast.abi3.so": content}), linux_tag("manylinux_2_28"))
    found = shop.find("pure", "fast", target=OLD)
    installed = read_installed([str(shop.site)]).distributions
    assert found == {
        name: Located(distribution=installed[name], fetched=False, aws_refuses="")
        for name in ("pure", "fast")
    }


@either
def test_files_for_another_machine_are_fetched_at_the_installed_version(shop: Shop, tools: Tools) -> None:
    tag, other = linux_tag("manylinux2014"), linux_tag("manylinux_2_28", ELSEWHERE)
    tagged(install(shop.site, "fast", {"fast.abi3.so": shared_object(HERE)}), tag)
    theirs: dict[str, str | bytes] = {
        "fast.abi3.so": shared_object(ELSEWHERE),
        "fast-1.0.data/purelib/more.py": "X = 1\n",
    }
    theirs |= {"fast-1.0.data/scripts/run": "#!python\n", "fast-1.0.data/data/share/x.txt": "x"}
    make_wheel(shop.links, "fast", theirs, tag=other)
    make_wheel(shop.links, "fast", theirs, version="2.0", tag=other)
    found = shop.one("fast", FOREIGN, tools)
    own = {path for path in found.distribution.files if ".dist-info" not in path}
    assert (found.fetched, found.distribution.version, own) == (True, "1.0", {"fast.abi3.so", "more.py"})
    assert (found.distribution.root / "fast.abi3.so").read_bytes() == shared_object(ELSEWHERE)
    shutil.rmtree(shop.links)
    assert shop.one("fast", FOREIGN, NOTHING) == found


@either
def test_a_fetched_tree_is_the_one_that_the_installed_files_give(shop: Shop, tools: Tools) -> None:
    files: dict[str, str | bytes] = {"app/__init__.py": "X = 1\n", "app/_fast.abi3.so": shared_object(HERE)}
    tagged(install(shop.site, "app", files), linux_tag("manylinux2014"))
    make_wheel(shop.links, "app", files, tag=linux_tag("manylinux2014"))
    ours = shop.one("app", OLD)
    (shop.site / "app-1.0.dist-info" / "INSTALLER").write_text("conda")
    (shop.site / "app-1.0.dist-info" / "RECORD").touch()
    theirs = shop.one("app", OLD, tools)
    assert (ours.fetched, theirs.fetched) == (False, True)
    recipes = read_recipes(recipes_folder())
    entries = [
        slim(each.distribution, (), recipes, OLD, frozenset(), shop.cache).entries for each in (ours, theirs)
    ]
    assert entries[0] == entries[1]


def test_the_installers_record_keeps_what_is_not_a_wheels_from_being_copied(shop: Shop) -> None:
    """conda, an installer without RECORD, a file that is gone, a wheel that was built here."""
    install(shop.site, "conda-made", {"conda_made.py": ""}, installer="conda\n")
    install(shop.site, "gone", {"gone.py": "", "lost.py": ""})
    (shop.site / "lost.py").unlink()
    tagged(install(shop.site, "built-here", {"built_here.abi3.so": shared_object(HERE)}), linux_tag("linux"))
    (shop.site / "old_style-1.0.egg-info").mkdir()
    (shop.site / "old_style-1.0.egg-info" / "top_level.txt").write_text("old_style\n")
    (shop.site / "old_style.py").write_text("")
    names = {
        "conda-made": "conda_made.py",
        "gone": "lost.py",
        "old-style": "old_style.py",
        "built-here": "b.py",
    }
    for name, path in names.items():
        make_wheel(shop.links, name, {path: "FETCHED = 1\n"})
    found = shop.find(*names, target=NEW)
    assert {name: each.fetched for name, each in found.items()} == dict.fromkeys(names, True)
    for name, path in names.items():
        assert (found[name].distribution.root / path).read_text() == "FETCHED = 1\n"


def test_what_was_built_here_is_good_enough_for_this_machine_and_says_so_for_aws(
    shop: Shop, target: Target
) -> None:
    tagged(install(shop.site, "built", {"built.abi3.so": shared_object(HERE)}), linux_tag("linux"))
    found = shop.one("built", target, NOTHING)
    reason = f"it was built on this machine (its wheel is tagged linux_{LINUX_NAMES[HERE]}), so what it links to may be here only"
    assert (found.fetched, found.aws_refuses) == (False, reason)


def test_all_that_cannot_be_had_is_named_at_once_each_with_the_nearest_version(shop: Shop) -> None:
    for name, glibc in (("first", "2.28"), ("second", "2.27")):
        needing = shared_object(HERE, versions=["GLIBC_2.17", f"GLIBC_{glibc}"])
        info = install(shop.site, name, {f"{name}/_core.abi3.so": needing}, version="2.0")
        tagged(info, linux_tag(f"manylinux_{glibc.replace('.', '_')}"))
        make_wheel(shop.links, name, {}, version="2.0", tag=linux_tag("manylinux_2_28"))
        for version in ("1.0", "1.5"):
            make_wheel(shop.links, name, {}, version=version, tag=linux_tag("manylinux_2_26"))
        (shop.links / f"{name}-1.9.tar.gz").touch()  # a source is no wheel
    install(shop.site, "third", {"third.py": ""}, installer="conda")
    install(shop.site, "fine", {"fine.py": ""})
    with pytest.raises(TargetError) as caught:
        shop.find("first", "second", "third", "fine", target=OLD)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        f"There are no files of 3 distributions that load on Python {OLD.python} on {HERE} with glibc 2.26"
        f"{', Amazon Linux 2' if OLD.python == '3.11' else ''}:"
    )
    assert lines[1].startswith(
        "  first 2.0: first/_core.abi3.so needs glibc 2.28. No wheel of this version was found: "
    )
    later = newer_runtime(OLD)
    python = f". Or use Python {later.python} or later, for which AWS has glibc 2.34" if later else ""
    assert lines[1].endswith(f" The nearest version with a wheel is 1.5: pip install first==1.5{python}.")
    assert lines[2].startswith("  second 2.0: second/_core.abi3.so needs glibc 2.27. ")
    assert lines[3].startswith(
        "  third 1.0: it was installed by conda, whose files are made for this machine. "
    )
    assert lines[3].endswith(
        "No version of it has a wheel that loads there: do without it in these operations."
    )
    assert len(lines) == 4


def test_uv_alone_names_the_newest_version_that_has_a_wheel(shop: Shop) -> None:
    tagged(
        install(shop.site, "fast", {"fast.abi3.so": shared_object(ELSEWHERE)}, version="3.0"), "x-x-win_amd64"
    )
    for version in ("1.0", "2.0"):
        make_wheel(shop.links, "fast", {}, version=version, tag=linux_tag("manylinux2014"))
    with pytest.raises(
        TargetError,
        match=r"files are for win_amd64.*nearest version with a wheel is 2\.0: pip install fast==2\.0",
    ):
        shop.one("fast", NEW, UV)


def test_a_wheel_that_needs_more_than_its_tag_says_is_refused(shop: Shop) -> None:
    install(shop.site, "liar", {"liar.py": ""}, installer="conda")
    needing = {"liar.abi3.so": shared_object(HERE, versions=["GLIBC_2.35"])}
    make_wheel(shop.links, "liar", needing, tag=linux_tag("manylinux_2_17"))
    with pytest.raises(TargetError, match=r"its wheel cannot load: liar\.abi3\.so needs glibc 2\.35"):
        shop.one("liar", NEW)


def test_without_an_installer_the_remedy_is_to_get_one_or_to_install_again(shop: Shop) -> None:
    install(shop.site, "app", {"app.py": ""}, installer="conda")
    with pytest.raises(
        TargetError, match=r"neither uv nor pip.*pip install --force-reinstall --no-deps app==1\.0\."
    ):
        shop.one("app", NEW, NOTHING)


@either
def test_an_index_that_does_not_answer_is_not_taken_for_one_without_the_wheel(
    shop: Shop, tools: Tools
) -> None:
    install(shop.site, "app", {"app.py": ""}, installer="conda")
    found = installers_of(shop.links, shop.folder, **tools)
    unreachable = {
        "PIP_INDEX_URL": "http://user:secret@127.0.0.1:9/simple",
        "UV_HTTP_RETRIES": "0",
        "PIP_RETRIES": "0",
    }
    kept = {name: value for name, value in found.environment.items() if name != "PIP_NO_INDEX"}
    cut_off = Installers(found.uv, found.pip, kept | unreachable)
    installed = read_installed([str(shop.site)]).distributions["app"]
    with pytest.raises(TargetError, match="the index could not be asked") as caught:
        located([installed], NEW, shop.cache, cut_off)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["../evil.py", "/evil.py", "a/../../evil.py", "a\\..\\evil.py", "C:/evil.py"]
)
def test_a_wheel_whose_files_would_leave_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    wheel = make_wheel(tmp_path / "links", "evil", {"evil.py": "", path: "X = 1\n"})
    with pytest.raises(PackageError, match=r"evil-1\.0.* is refused: it holds .*would leave its folder"):
        unpack_wheel(wheel, tmp_path / "site")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["links", "site"]
    assert list((tmp_path / "site").iterdir()) == []


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "links", "evil", {"evil.py": ""})
    with zipfile.ZipFile(wheel, "a") as archive:
        info = zipfile.ZipInfo("out")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc")
    with pytest.raises(PackageError, match="'out', which would leave its folder"):
        unpack_wheel(wheel, tmp_path / "site")


@either
def test_a_crafted_wheel_of_an_index_writes_nothing_outside_its_folder(shop: Shop, tools: Tools) -> None:
    """pip's wheel is unpacked by us, and refused; uv unpacks itself, and passes over such a file."""
    install(shop.site, "evil", {"evil.py": ""}, installer="conda")
    make_wheel(
        shop.links, "evil", {"evil.py": "", "../../../../../../out.py": "X = 1\n", "../near.py": "X = 1\n"}
    )
    if tools == PIP:
        with pytest.raises(PackageError, match="would leave its folder"):
            shop.one("evil", NEW, tools)
    else:
        own = [path for path in shop.one("evil", NEW, tools).distribution.files if "dist-info" not in path]
        assert own == ["evil.py"]
    assert [*shop.folder.rglob("out.py"), *shop.folder.rglob("near.py")] == []


@pytest.mark.parametrize("damage", ["cut off", "no zip"])
def test_a_damaged_wheel_says_so(tmp_path: Path, damage: str) -> None:
    wheel = make_wheel(tmp_path, "app", {"app.py": "X = 1\n"})
    content = wheel.read_bytes()
    wheel.write_bytes(content[:-30] if damage == "cut off" else b"<html>not found</html>")
    with pytest.raises(PackageError, match=r"app-1\.0-py3-none-any\.whl is damaged: .*Fetch it again"):
        unpack_wheel(wheel, tmp_path / "site")


def test_uv_is_told_what_pip_would_use_unless_the_user_told_it_otherwise() -> None:
    pip = {
        "index-url": "http://a/simple",
        "extra-index-url": "http://b/simple\n http://c/simple",
        "find-links": "/links /more",
        "trusted-host": "a b",
    }
    told = uv_environment(pip, {"HOME": "/home/ada"})
    assert told == {
        "HOME": "/home/ada",
        "UV_DEFAULT_INDEX": "http://a/simple",
        "UV_INDEX": "http://b/simple http://c/simple",
        "UV_FIND_LINKS": "/links,/more",
        "UV_INSECURE_HOST": "a b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_HTTP_RETRIES": "1",
    }
    own = {"UV_INDEX": "http://d/simple", "UV_INDEX_URL": "http://e/simple"}
    assert uv_environment(pip, own) == own | {
        "UV_FIND_LINKS": "/links,/more",
        "UV_INSECURE_HOST": "a b",
        "UV_HTTP_RETRIES": "1",
    }


def test_pips_settings_are_those_of_its_files_and_variables(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = http://a/simple\ntimeout = 5\nextra-index-url =\n  http://b/simple\n  http://c/simple\n"
        "[install]\ntimeout = 7\n[wheel]\nfind-links = /nowhere\n"
    )
    given = {"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path), "PIP_INDEX_URL": "http://d/simple"}
    settings = pip_settings(Installers(pip=installers_of(tmp_path, tmp_path).pip, environment=given))
    assert {name: settings.get(name, "").split() for name in ("index-url", "timeout", "extra-index-url")} == {
        "index-url": ["http://d/simple"],
        "timeout": ["7"],
        "extra-index-url": ["http://b/simple", "http://c/simple"],
    }


@pytest.mark.parametrize(
    ("version", "versions", "nearest"),
    [
        ("2.4.6", ("2.2.6", "2.2.10", "1.26.4"), "2.2.10"),
        ("1.0", ("3.0", "2.0"), "2.0"),
        ("1.0", (), ""),
        ("2.0", ("3.0", "2.0", "1.0"), "2.0"),
    ],
)
def test_the_nearest_version_is_the_newest_that_is_not_newer(
    version: str, versions: tuple[str, ...], nearest: str
) -> None:
    assert nearest_version(version, versions) == nearest


def test_pip_is_given_every_tag_since_it_takes_none_for_another() -> None:
    tags = platform_tags(Target(python="3.11", architecture="x86_64", glibc="2.26"))
    assert tags[0] == "manylinux_2_26_x86_64"
    assert tags[-2:] == ("manylinux_2_5_x86_64", "manylinux1_x86_64")
    assert len(tags) == 22 + 3
    assert platform_tags(Target(python="3.11", architecture="arm64", glibc="2.17")) == (
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    )
