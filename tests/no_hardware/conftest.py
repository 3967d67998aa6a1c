"""Fixtures for all tests that need no hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def simulator(request: pytest.FixtureRequest) -> Iterator[SimulatorProcess]:
    """A simulator for the tests of one module, with the options in its `SIMULATOR`; by default one board."""
    with SimulatorProcess(**getattr(request.module, "SIMULATOR", {"boards": 1})) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _boards_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the names that tests before have given to boards: messages would show them."""
    monkeypatch.setattr("hil.errors._names", {})
