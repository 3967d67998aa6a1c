"""The world in which the table of faults is tried: simulated, or Linux' own in `nox -s kernel`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hil.sim.process import SimulatorProcess
from tests.faults.worlds import JOB, KernelWorld, SimulatedWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.worlds import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A host with two boards."""
    if JOB is not None:
        with closing(KernelWorld(JOB)) as world:
            yield world
        return
    with SimulatorProcess(boards=2, speed=5) as simulator:
        yield SimulatedWorld(simulator)


@pytest.fixture
def serial(world: World) -> Iterator[str]:
    """The first board's serial number; all boards without faults, before and after."""
    for one in world.serials:
        world.restore(one)
    yield world.serials[0]
    world.let_go()
    for one in world.serials:
        world.restore(one)
