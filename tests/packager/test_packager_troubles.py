"""Full disks, killed builds, damaged entries, failed builds: what comes after is as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import graphlambda
from graphlambda.errors import PackageError
from graphlambda.packager import build, read_installed
from graphlambda.testing.distributions import install, operation_of

if TYPE_CHECKING:
    from graphlambda.compiler.program import Operation
    from graphlambda.packager import Artifact, Target

BUILD = """
import json, os, pathlib, sys
os.umask(int(sys.argv[4], 8))
from graphlambda.errors import PackageError
from graphlambda.packager import Target, build, read_installed
from graphlambda.testing.distributions import operation_of
site, cache, runtime = map(pathlib.Path, sys.argv[1:4])
operation = operation_of("import app\\n\\ndef operation(p0):\\n    return {1, 'x'}\\n", imports=["app"])
try:
    (artifact,) = build(
        [operation], Target(python=sys.argv[5], architecture=sys.argv[6]), cache=cache, runtime=runtime,
        installed=read_installed([str(site)]),
    )
except PackageError as error:
    print(f"PackageError: {error}")
else:
    print(json.dumps([artifact.digest, [layer.digest for layer in artifact.layers]]))
"""


def command(site: Path, cache: Path, runtime: Path, target: Target, umask: str = "022") -> list[str]:
    arguments = [str(site), str(cache), str(runtime), umask, target.python, target.architecture]
    return [sys.executable, "-c", BUILD, *arguments]


def environment(**more: str) -> dict[str, str]:
    return {"PYTHONPATH": str(Path(graphlambda.__path__[0]).parent), "PATH": os.defpath, **more}


def one(operation: Operation, target: Target, site: Path, cache: Path, runtime: Path) -> Artifact:
    (artifact,) = build(
        [operation], target, cache=cache, runtime=runtime, installed=read_installed([str(site)])
    )
    return artifact


def of_app(comment: str = "") -> Operation:
    return operation_of(f"import app{comment}\n\ndef operation(p0):\n    return p0\n", imports=["app"])


def test_a_full_disk_is_named_and_the_next_build_with_room_works(
    site: Path, tmp_path: Path, runtime: Path, target: Target
) -> None:
    install(site, "app", {"app/__init__.py": "", "app/data.bin": os.urandom(3_000_000)})
    disk = tmp_path / "disk"
    disk.mkdir()
    build_it = subprocess.list2cmdline(
        ["$0", "-c", "$1", str(site), str(disk / "cache"), str(runtime), "022"]
    )
    build_it = f'"$0" -c "$1" {site} {disk / "cache"} {runtime} 022 {target.python} {target.architecture}'
    script = (
        f"mount -t tmpfs -o size=2m none {disk} || exit 77\n{build_it}\n"
        f"mount -o remount,size=50m {disk} && ls {disk}/cache/scratch && {build_it}"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, BUILD],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode in {1, 77} and not done.stdout:
        pytest.skip(f"no disk of one's own can be mounted here: {done.stderr}")
    full, made = done.stdout.splitlines()
    assert full == (
        f"PackageError: No space is left for the package cache in {disk / 'cache'}. "
        "Free some, or choose another cache folder."
    )
    assert len(json.loads(made)[0]) == 64


def test_a_build_that_was_killed_leaves_nothing_in_the_way(
    site: Path, tmp_path: Path, runtime: Path, target: Target
) -> None:
    install(site, "app", {f"app/m{number}.py": "X = {'a', 1}\n" * 500 for number in range(60)})
    cache = tmp_path / "cache"
    with subprocess.Popen(command(site, cache, runtime, target), env=environment()) as process:
        end_s = time.monotonic() + 300
        while not list(
            cache.glob("scratch/*/made/files/app/m9.py")
        ):  # the last by name: what follows is compiling
            assert process.poll() is None
            assert time.monotonic() < end_s
            time.sleep(0.002)
        process.kill()
    assert not list(cache.glob("trees/app-*"))
    after = one(of_app(), target, site, cache, runtime)
    assert after.digest == one(of_app(), target, site, tmp_path / "fresh", runtime).digest


def test_a_failed_build_leaves_the_last_good_artifact_usable(
    site: Path, tmp_path: Path, runtime: Path, target: Target
) -> None:
    install(site, "app", {"app.py": "X = 1\n"})
    install(site, "bad", {"bad.py": "Y = 1\n"})
    cache = tmp_path / "cache"
    good = one(of_app(), target, site, cache, runtime)
    zips = [good.zip_path, *(layer.zip_path for layer in good.layers)]
    before = [path.read_bytes() for path in zips]
    (site / "bad.py").write_text("Y = 2\n")
    both = operation_of("import app, bad\n\ndef operation(p0):\n    return p0\n", imports=["app", "bad"])
    with pytest.raises(PackageError, match=r"bad\.py is not what RECORD says"):
        one(both, target, site, cache, runtime)
    assert [path.read_bytes() for path in zips] == before
    assert one(of_app(), target, site, cache, runtime) == good


@pytest.mark.parametrize("damage", ["a file cut", "a file gone", "no list", "a list cut"])
def test_a_damaged_tree_is_made_again(
    damage: str, site: Path, tmp_path: Path, runtime: Path, target: Target
) -> None:
    install(site, "app", {"app.py": "X = 1\n" * 100})
    cache = tmp_path / "cache"
    before = one(of_app(), target, site, cache, runtime)
    (tree,) = cache.glob("trees/app-*")
    file = {"a": tree / "files" / "app.py", "n": tree / "tree.json"}[damage[0]]
    file = tree / "tree.json" if "list" in damage else file
    if damage.endswith("cut"):
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:50])
    else:
        file.unlink()
    for kind in ("layers", "artifacts"):
        shutil.rmtree(cache / kind)
    after = one(of_app(), target, site, cache, runtime)
    assert after == before
    with zipfile.ZipFile(after.layers[0].zip_path) as archive:
        assert archive.read("python/app.py") == b"X = 1\n" * 100


def test_an_edited_function_is_proved_without_the_modules_that_its_layers_are_known_to_hold(
    site: Path, tmp_path: Path, runtime: Path, target: Target
) -> None:
    log = tmp_path / "imported"
    note = f"open({str(log)!r}, 'a').write(__name__ + '\\n')\n"
    install(site, "app", {"app/__init__.py": note, "app/deep.py": note, "app/other.py": note})
    cache = tmp_path / "cache"
    source = "import app\n\ndef operation(p0):\n    return p0\n"

    def imported(text: str, *modules: str) -> list[str]:
        log.write_text("")
        one(operation_of(text, imports=["app", *modules]), target, site, cache, runtime)
        return log.read_text().splitlines()

    assert imported(source, "app.deep") == ["app", "app.deep"]
    assert imported(source + "# edited\n", "app.deep") == ["app"]
    assert imported(source + "# needs more\n", "app.deep", "app.other") == ["app", "app.other"]
    (site / "app" / "other.py").write_text(note)
    assert imported(source + "# edited again\n", "app.other") == ["app"]


def test_place_age_and_order_of_installed_files_change_nothing_and_leave_no_trace(
    tmp_path: Path, runtime: Path, target: Target
) -> None:
    files = {f"app/m{number}.py": f"NAMES = {{'a', 'b', {number}}}\n" for number in range(20)}
    files |= {"app/__init__.py": "def here():\n    return __file__\n", "app/data.json": "{}"}
    places = [tmp_path / "here" / "site-packages", tmp_path / "elsewhere" / "lib" / "site-packages"]
    printed, contents = [], []
    for number, place in enumerate(places):
        install(place, "app", dict(sorted(files.items(), reverse=bool(number))))
        record = next(place.glob("*.dist-info")) / "RECORD"
        record.write_text("".join(sorted(record.read_text().splitlines(keepends=True))))
        for path in place.rglob("*.py"):
            os.utime(path, times=(number * 1e9,) * 2)
        cache = tmp_path / f"cache{number}"
        settings = {"PYTHONHASHSEED": str(number), "TZ": f"UTC+{number}", "LANG": ("C", "C.UTF-8")[number]}
        printed.append(
            subprocess.run(
                command(place, cache, runtime, target, ("022", "077")[number]),
                env=environment(HOME=str(tmp_path / "home"), **settings),
                cwd=(tmp_path, place)[number],
                stdout=subprocess.PIPE,
                timeout=300,
                check=True,
            ).stdout
        )
        zips = [*cache.glob("artifacts/*.zip"), *cache.glob("layers/*.zip")]
        contents.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in zips})
        ours = [str(folder).encode() for folder in (tmp_path, Path.home(), Path(sys.prefix))]
        built = [
            file for kind in ("trees", "functions") for file in (cache / kind).rglob("*") if file.is_file()
        ]
        assert len(built) > 60
        assert [file for file in built if any(folder in file.read_bytes() for folder in ours)] == []
    assert printed[0] == printed[1]
    assert contents[0] == contents[1]
