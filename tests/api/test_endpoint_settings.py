"""What the local Lambda is started with is said once: by who starts it for a run, and by `graphlambda local`."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import dask.array as da
import pytest

import graphlambda
from graphlambda import config
from graphlambda.api.endpoints import local_settings
from graphlambda.cli import main
from graphlambda.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_local_lambda_gets_all_settings_and_its_functions_never_the_root_key(tmp_path: Path) -> None:
    flags = {"concurrency": 3, "isolation": "plain", "network": "no", "cache_mb": 200}
    loaded = dataclasses.replace(config.load(flags), cache_dir=tmp_path / "c", state_dir=tmp_path / "s")
    settings = local_settings(loaded, [tmp_path, tmp_path])
    assert (settings.concurrency, settings.isolation, settings.network) == (3, "plain", False)
    assert (settings.most_bytes, settings.visible) == (100_000_000, (tmp_path,))
    assert settings.environments >= 6
    assert loaded.state_dir in settings.hidden


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds a process to processors")
def test_as_many_local_functions_run_as_this_process_may_use_processors() -> None:
    usable = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(usable)})
        assert local_settings(config.load({}), []).concurrency == 1
    finally:
        os.sched_setaffinity(0, usable)
    assert local_settings(config.load({}), []).concurrency == len(usable)


@pytest.mark.parametrize("setting", ["cache_dir", "state_dir"])
def test_a_folder_that_cannot_be_made_is_named_with_its_setting(setting: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folders: dict[str, Any] = {
        "cache_dir": tmp_path / "c",
        "state_dir": tmp_path / "s",
        setting: tmp_path / "file" / "below",
    }
    with pytest.raises(ConfigError, match=rf"(?s)file/below.*Not a directory.*GRAPHLAMBDA_{setting.upper()}"):
        graphlambda.compute(da.ones(4, chunks=2), **folders)


@pytest.mark.parametrize("port", ["65536", "-1", "http", "1e3"])
def test_a_port_that_is_none_is_a_message(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["local", f"--port={port}"])
    assert "a port is a whole number from 0 to 65535" in capsys.readouterr().err
