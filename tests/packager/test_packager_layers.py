"""Which distributions share a layer, and what a layer is called."""

from __future__ import annotations

import zipfile
from pathlib import Path

from graphlambda.packager import Requirement, Target
from graphlambda.packager.cache import Cache
from graphlambda.packager.layers import Packed, group, plan_layers, zip_layer
from graphlambda.packager.trees import Entry, Tree, digest_of

MB = 1_000_000


def packed(name: str, size_bytes: int, folder: Path = Path()) -> Packed:
    entry = Entry(f"{name}.py", size_bytes, executable=False, digest=f"digest of {name}")
    return Packed(Requirement(name, "1.2.3"), Tree(folder=folder, entries=(entry,)))


def names(*members: Packed) -> list[list[str]]:
    return [[each.requirement.distribution for each in layer] for layer in group(members)]


def test_heavy_distributions_stand_alone_and_the_rest_together() -> None:
    heavy, light, small = packed("z-heavy", 5 * MB), packed("b-light", 5 * MB - 1), packed("a-small", 1)
    assert names(small, heavy, light) == [["z-heavy"], ["a-small", "b-light"]]


def test_the_fifth_heaviest_joins_the_rest_so_that_five_layers_suffice() -> None:
    members = [packed(f"d{size}", size * MB) for size in range(5, 12)]
    assert names(*members) == [["d10"], ["d11"], ["d8"], ["d9"], ["d5", "d6", "d7"]]


def test_no_requirements_need_no_layer() -> None:
    assert names() == []


def test_the_order_in_which_requirements_come_changes_nothing(target: Target) -> None:
    members = [packed("a", 7 * MB), packed("b", 1), packed("c", 2)]
    assert plan_layers(members, target) == plan_layers(reversed(members), target)


def test_a_name_says_what_is_in_it_and_ends_in_its_digest() -> None:
    target = Target(python="3.12", architecture="arm64")
    heavy, rest = plan_layers([packed("scikit-learn", 9 * MB), packed("six", 1)], target)
    assert heavy.name == f"gl-scikit-learn-1-2-3-py312-arm-{heavy.digest[:12]}"
    assert rest.name == f"gl-rest-py312-arm-{rest.digest[:12]}"


def test_a_long_name_is_cut_and_keeps_its_digest(target: Target) -> None:
    (layer,) = plan_layers([packed("x" * 200, 9 * MB)], target)
    assert len(layer.name) == 64
    assert layer.name.endswith(layer.digest[:12])


def test_a_layer_is_the_same_in_every_set_that_holds_it(target: Target) -> None:
    numpy = packed("numpy", 50 * MB)
    alone = plan_layers([numpy], target)[0]
    among = plan_layers([numpy, packed("pandas", 40 * MB), packed("six", 1)], target)[0]
    assert alone == among


def test_the_digest_sees_path_content_and_mode_but_not_the_bytes_of_byte_code() -> None:
    base = Entry("a.py", 1, executable=False, digest="1")
    others = [Entry("b.py", 1, False, "1"), Entry("a.py", 1, True, "1"), Entry("a.py", 1, False, "2")]
    assert len({digest_of([entry]) for entry in (base, *others)}) == 4
    code = "__pycache__/a.cpython-311.pyc"
    assert digest_of([base, Entry(code, 10, False, "")]) == digest_of([Entry(code, 11, False, ""), base])


def test_a_zipped_layer_holds_its_files_below_python_as_unix_files_of_1980(
    tmp_path: Path, target: Target
) -> None:
    for name, content in (("x.py", b"x = 1"), ("run", b"#!")):
        (tmp_path / name).write_bytes(content)
    entries = (Entry("run", 2, executable=True, digest="r"), Entry("x.py", 5, executable=False, digest="x"))
    (planned,) = plan_layers([Packed(Requirement("x", "1"), Tree(folder=tmp_path, entries=entries))], target)
    layer = zip_layer(planned, Cache(tmp_path / "cache"))
    with zipfile.ZipFile(layer.zip_path) as archive:
        found = [
            (each.filename, each.date_time[0], each.external_attr >> 16, each.create_system)
            for each in archive.infolist()
        ]
        assert archive.read("python/x.py") == b"x = 1"
    assert found == [("python/run", 1980, 0o100755, 3), ("python/x.py", 1980, 0o100644, 3)]
    assert (layer.size_bytes, layer.zip_bytes) == (7, layer.zip_path.stat().st_size)
