"""`--seed N` plays one scenario again; the figures of all that were played stand at the end of the log."""

from __future__ import annotations

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash[FIGURES].text():
        terminalreporter.section("chaos")
        terminalreporter.write_line(figures)
