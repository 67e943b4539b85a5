"""What an implementer of run folders needs: the contract as tests.

In: folders. Out: tests. Inherit `FoldersTests` in a `Test…` class and say how empty ones are made.
"""

# A test's name is its claim.
# ruff: noqa: D102

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from graphlambda.store.folders import Folders

RUN, OTHER_RUN = "run-1", "run-2"


class FoldersTests(ABC):
    """What all folders of runs promise."""

    @abstractmethod
    @pytest.fixture
    def folders(self) -> Folders:
        """Return folders without a run."""

    @abstractmethod
    def age(self, folders: Folders, run: str, seconds: float) -> None:
        """Make a run's folder that much older."""

    def test_an_object_comes_back_as_it_was_made(self, folders: Folders) -> None:
        folder = folders.of(RUN)
        folder.begin()
        assert folder.create("program", [b"a", b"", memoryview(b"bc")])
        found = folder.read("program")
        assert found is not None
        assert (found.content, folder.names(), folder.read("other")) == (b"abc", ["program"], None)

    def test_of_many_makers_one_wins(self, folders: Folders) -> None:
        folder = folders.of(RUN)
        folder.begin()
        with ThreadPoolExecutor(8) as makers:
            made = list(makers.map(lambda n: folder.create("journal-1", [bytes([n]) * 10_000]), range(16)))
        found = folder.read("journal-1")
        assert found is not None
        assert (sum(made), found.content) == (1, bytes([made.index(True)]) * 10_000)

    def test_of_many_that_replace_what_they_read_one_wins(self, folders: Folders) -> None:
        folder = folders.of(RUN)
        folder.begin()
        folder.create("lease", [b"first"])
        found = folder.read("lease")
        assert found is not None
        with ThreadPoolExecutor(8) as makers:
            tags = list(makers.map(lambda n: folder.replace("lease", bytes([n]), found.tag), range(16)))
        (won,) = [tag for tag in tags if tag is not None]
        now = folder.read("lease")
        assert now is not None
        assert (now.content, now.tag) == (bytes([tags.index(won)]), won)
        assert folder.replace("absent", b"a", won) is None

    def test_an_object_is_deleted_and_its_neighbours_stay(self, folders: Folders) -> None:
        folder = folders.of(RUN)
        folder.delete("absent")
        folder.begin()
        for name in ("first", "second"):
            folder.create(name, [b"a"])
        folder.delete("first")
        folder.delete("first")
        assert (folder.read("first"), folder.names()) == (None, ["second"])

    def test_runs_do_not_see_each_other_and_are_dropped_whole(self, folders: Folders) -> None:
        for run in (RUN, OTHER_RUN):
            folders.of(run).begin()
            folders.of(run).create("program", [run.encode()])
        folders.of(RUN).drop()
        folders.of(RUN).drop()
        other = folders.of(OTHER_RUN).read("program")
        assert other is not None
        assert (list(folders.runs()), folders.of(RUN).names(), other.content) == ([OTHER_RUN], [], b"run-2")

    def test_folders_that_nobody_changes_are_swept(self, folders: Folders) -> None:
        for run in (RUN, OTHER_RUN):
            folders.of(run).begin()
            folders.of(run).create("program", [b"a"])
        self.age(folders, RUN, 1000.0)
        assert folders.sweep(older_than_s=500.0) == (RUN,)
        assert list(folders.runs()) == [OTHER_RUN]

    @pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd", "a.b", "a" * 129])
    def test_a_name_that_might_lead_elsewhere_is_refused(self, folders: Folders, name: str) -> None:
        folder = folders.of(RUN)
        folder.begin()
        for refused in (
            lambda: folders.of(name),
            lambda: folder.create(name, [b"a"]),
            lambda: folder.read(name),
            lambda: folder.delete(name),
            lambda: folder.replace(name, b"a", ""),
        ):
            with pytest.raises(ValueError, match="is not a name"):
                refused()
