"""Nothing planted is run: names can be guessed, and whoever may write to an account can write what we would."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from graphlambda.deployer import Deployment, Settings, deploy
from graphlambda.deployer.functions import Call, Deployed, DeployedFunction, Made
from graphlambda.deployer.manifests import Manifests, of_function
from graphlambda.deployer.plan import INLINE_BYTES
from graphlambda.deployer.proofs import code_sha256
from graphlambda.deployer.shelf import BucketShelf
from graphlambda.deployer.specs import layer_name
from graphlambda.errors import DeployError
from graphlambda.testing.artifacts import make_artifact, make_layer, write_zip
from graphlambda.testing.clouds import ROLE, RecordingCloud, manifests_in
from graphlambda.testing.s3_memory import MemoryS3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from graphlambda.packager.artifact import Artifact

SETTINGS = Settings(memory_mb=512, timeout_s=60, ephemeral_mb=512, role=ROLE)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return make_artifact(tmp_path, "sum", (make_layer(tmp_path, "numpy"),))


@pytest.fixture
def layer(artifact: Artifact) -> str:
    return layer_name("local", artifact.layers[0].name)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """Return a zip of somebody else's."""
    return write_zip(tmp_path / "evil.zip", {"operation.py": "# evil\n", "python/numpy.py": "# evil\n"})


@pytest.fixture
def manifests(tmp_path: Path) -> Callable[[], Manifests]:
    """Return what gives the deployment's manifests as a new process sees them."""
    return lambda: manifests_in(tmp_path / "manifests")


def deployed(artifact: Artifact, cloud: RecordingCloud, manifests: Manifests) -> Deployment:
    return deploy([artifact], SETTINGS, cloud=cloud, deployment_id="local", manifests=manifests)


@dataclass(slots=True)
class Meddled(RecordingCloud):
    """An account in which somebody meddles with each function that is looked at."""

    meddle: Callable[[DeployedFunction], DeployedFunction] = lambda function: function

    def describe(self, **wanted: object) -> Deployed:
        there = RecordingCloud.describe(self, **wanted)  # type: ignore[arg-type]
        functions = {name: self.meddle(function) for name, function in there.functions.items()}
        return replace(there, functions=functions)


def with_(**changes: object) -> Callable[[DeployedFunction], DeployedFunction]:
    return lambda found: replace(found, configuration=replace(found.configuration, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("meddle", "told"),
    [
        (with_(code_sha256="cGxhbnRlZA=="), r"code_sha256 is 'cGxhbnRlZA=='"),
        (with_(role=f"{ROLE}-admin"), r"role is 'arn:aws:iam::123456789012:role/graphlambda-admin'"),
        (with_(handler="evil.handler"), r"handler is 'evil.handler'"),
        (with_(environment=(("AWS_LAMBDA_EXEC_WRAPPER", "/opt/evil"),)), r"environment is .*EXEC_WRAPPER"),
        (with_(layers=("gl-local-evil",)), r"layers is \('gl-local-evil',\)"),
        (with_(timeout_s=900), r"timeout_s is 900 instead of 60"),
    ],
    ids=["code", "role", "handler", "environment", "layers", "timeout"],
)
def test_a_function_that_is_not_what_its_name_promises_is_refused(
    artifact: Artifact,
    manifests: Callable[[], Manifests],
    meddle: Callable[[DeployedFunction], DeployedFunction],
    told: str,
) -> None:
    cloud = Meddled()
    (name,) = deployed(artifact, cloud, manifests()).functions.values()
    made, cloud.meddle = [*cloud.changes], meddle
    with pytest.raises(
        DeployError, match=rf"function '{name}' exists and is not the one .*{told}.*deployment_id="
    ):
        deployed(artifact, cloud, manifests())
    assert cloud.changes == made


def test_a_function_on_another_version_of_its_layer_is_refused(
    artifact: Artifact, layer: str, evil: Path, manifests: Callable[[], Manifests]
) -> None:
    cloud = Meddled()
    deployed(artifact, cloud, manifests())
    planted = cloud.call(publishing(layer, artifact.layers[0].digest, evil)).arn
    cloud.meddle = lambda found: replace(found, layers=(planted,))
    with pytest.raises(DeployError, match=rf"it stands on '{planted}', whose code is another"):
        deployed(artifact, cloud, manifests())


def test_a_layer_version_with_the_right_description_and_other_bytes_is_refused(
    artifact: Artifact, layer: str, evil: Path, manifests: Callable[[], Manifests]
) -> None:
    cloud = RecordingCloud()
    planted = cloud.call(publishing(layer, artifact.layers[0].digest, evil)).arn
    with pytest.raises(DeployError, match=rf"layer version '{planted}' holds other code .*CodeSha256"):
        deployed(artifact, cloud, manifests())
    assert len(cloud.changes) == 1
    assert cloud.functions == {}


def test_a_manifest_under_another_key_proves_nothing(
    artifact: Artifact, evil: Path, tmp_path: Path, manifests: Callable[[], Manifests]
) -> None:
    cloud = RecordingCloud()
    theirs = manifests_in(tmp_path / "manifests", root=b"k" * 32)
    (name,) = deployed(replace(artifact, zip_path=evil), cloud, theirs).functions.values()
    found = cloud.functions[name]
    assert theirs.proves(name, of_function(found.configuration, found.layers))
    with pytest.raises(
        DeployError,
        match=rf"function '{name}' .*code_sha256 is .*no manifest under this .* key .*whoever exported it runs `graphlambda deploy`",
    ):
        deployed(artifact, cloud, manifests())


def test_a_manifest_that_was_altered_or_lies_elsewhere_proves_nothing(
    tmp_path: Path, manifests: Callable[[], Manifests]
) -> None:
    reported = {"code_sha256": "b3Vycw=="}
    manifests().vouch("gl-local-a", reported)
    (path,) = (tmp_path / "manifests" / "gl-local-a").iterdir()
    assert manifests().proves("gl-local-a", reported)
    (tmp_path / "manifests" / "gl-local-b").mkdir()
    (tmp_path / "manifests" / "gl-local-b" / path.name).write_bytes(path.read_bytes())
    assert not manifests().proves("gl-local-b", reported)
    path.write_bytes(path.read_bytes().replace(b"b3Vycw", b"dGhlaX"))
    assert not manifests().proves("gl-local-a", reported)


@dataclass(slots=True)
class Overtaken(RecordingCloud):
    """An account where somebody creates each function, with other code, a moment before us."""

    code: Path = field(kw_only=True)

    def call(self, call: Call) -> Made:
        if call.method == "create_function":
            RecordingCloud.call(self, Call(call.method, {**call.params, "Code": {"ZipFile": self.code}}))
        return RecordingCloud.call(self, call)


def test_a_function_that_somebody_made_meanwhile_is_looked_at_as_any_other(
    artifact: Artifact, evil: Path, manifests: Callable[[], Manifests]
) -> None:
    with pytest.raises(DeployError, match="exists and is not the one that this name promises: code_sha256"):
        deployed(artifact, Overtaken(code=evil), manifests())


def test_deployers_of_one_key_trust_each_others_zips_of_the_same_files(
    artifact: Artifact, tmp_path: Path, manifests: Callable[[], Manifests]
) -> None:
    """Other builds of zlib give other bytes; names go by the files in them."""
    cloud = RecordingCloud()
    first = deployed(artifact, cloud, manifests())
    squeezed = write_zip(tmp_path / "other.zip", {"operation.py": "# sum\n", "by": "another zlib"})
    layer = replace(artifact.layers[0], zip_path=squeezed)
    other = replace(artifact, zip_path=squeezed, layers=(layer,))
    assert deployed(other, cloud, manifests()) == replace(first, created=())
    fresh = replace(other, operation="f" * 64, digest="f" * 64)
    assert len(deployed(fresh, cloud, manifests()).created) == 1
    assert [call.method for call in cloud.changes].count("publish_layer_version") == 1


def test_what_no_manifest_names_is_proved_by_the_bytes_that_we_hold_and_then_by_a_manifest(
    artifact: Artifact, tmp_path: Path, manifests: Callable[[], Manifests]
) -> None:
    cloud = RecordingCloud()
    first = deployed(artifact, cloud, manifests_in(tmp_path / "theirs", root=b"k" * 32))
    for _ in range(2):
        cloud.reads.clear()
        assert deployed(artifact, cloud, manifests()) == replace(first, created=())
    assert [what for what, _ in cloud.reads] == ["describe_function"]


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


def test_what_is_too_large_for_a_request_goes_through_the_bucket_once(
    artifact: Artifact, layer: str, s3: MemoryS3, manifests: Callable[[], Manifests]
) -> None:
    content = s3.bucket("graphlambda/local/artifacts/")
    cloud = RecordingCloud(objects=reading(s3))
    shelf = BucketShelf("bucket", content)
    large = [
        replace(
            each, zip_bytes=INLINE_BYTES + 1, layers=(replace(each.layers[0], zip_bytes=INLINE_BYTES + 1),)
        )
        for each in (artifact, replace(artifact, operation="f" * 64, digest="f" * 64))
    ]
    made = deploy(large, SETTINGS, cloud=cloud, deployment_id="local", manifests=manifests(), shelf=shelf)
    assert len(made.created) == 2
    assert len(s3.keys()) == 2
    (published, *created) = cloud.changes
    places: list[Mapping[str, str]] = [
        published.params["Content"],
        *(call.params["Code"] for call in created),
    ]
    assert [place["S3Bucket"] for place in places] == ["bucket"] * 3
    assert {place["S3Key"] for place in places} == set(s3.keys())
    assert all(key.startswith("graphlambda/local/artifacts/") for key in list(s3.keys()))


def test_what_somebody_laid_into_the_bucket_in_place_of_a_zip_is_never_used(
    artifact: Artifact, evil: Path, s3: MemoryS3, manifests: Callable[[], Manifests]
) -> None:
    shelf = BucketShelf("bucket", s3.bucket("artifacts/"))
    key = shelf.place(artifact.layers[0].zip_path)["S3Key"]
    s3.bucket("").delete(key)
    s3.bucket("").put(key, [evil.read_bytes()], {})
    cloud = RecordingCloud(objects=reading(s3))
    large = replace(artifact, layers=(replace(artifact.layers[0], zip_bytes=INLINE_BYTES + 1),))
    taking = partial(deploy, [large], SETTINGS, cloud=cloud, deployment_id="local", manifests=manifests())
    with pytest.raises(DeployError, match=rf"Lambda took a zip of CodeSha256 {code_sha256(evil)[:10]}"):
        taking(shelf=shelf)
    assert cloud.functions == {}
    with pytest.raises(DeployError, match=r"layer version .* holds other code"):
        taking(shelf=shelf)


def test_a_zip_that_has_no_way_to_the_account_is_an_error_that_says_so(
    artifact: Artifact, manifests: Callable[[], Manifests]
) -> None:
    cloud = RecordingCloud()
    large = replace(artifact, zip_bytes=INLINE_BYTES + 1)
    with pytest.raises(DeployError, match=r"the zip of gl-local-sum-.* is too large for a request"):
        deployed(large, cloud, manifests())


def publishing(layer: str, digest: str, zip_path: Path) -> Call:
    """Return a call that publishes a layer under our name, described as ours."""
    return Call(
        "publish_layer_version",
        {"LayerName": layer, "Description": digest, "Content": {"ZipFile": zip_path}},
    )


def reading(s3: MemoryS3) -> Callable[[str], bytes]:
    def read(key: str) -> bytes:
        found = s3.bucket("").get(key)
        assert found is not None
        return bytes(found[0])

    return read
