"""`--seed N` plays one scenario again; the figures of all that were played stand at the end of the log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from graphlambda.testing.chaos_figures import Figures

FIGURES = pytest.StashKey[Figures]()
SCENARIOS = 1_000
"""Seeds that are played where none is named."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="play the scenario of this seed alone")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("seed", default=None)
        metafunc.parametrize("seed", range(SCENARIOS) if wanted is None else [wanted])


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    return request.config.stash[FIGURES]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures of one of several processes to the one that sums up."""
    if hasattr(session.config, "workeroutput"):
        told = asdict(session.config.stash[FIGURES])
        session.config.workeroutput["chaos"] = {
            name: {str(key): number for key, number in figure.items()} if isinstance(figure, dict) else figure
            for name, figure in told.items()
        }


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[FIGURES].include(getattr(node, "workeroutput", {}).get("chaos", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash[FIGURES].text():
        terminalreporter.section("chaos")
        terminalreporter.write_line(figures)
