# ruff: noqa: F821 - the test writes READY before it
import pytest

from hil.dutlink.board import open_driver
from hil.sim.backend.backend import simulated_host


@pytest.fixture(scope="session")
def dutlink(dutlink):
    host = simulated_host(dict(READY))
    with open_driver(host) as board:
        yield board


@pytest.mark.parametrize("turn", range(4))
def test_board_is_the_own_one(dutlink, turn, record_property):
    record_property("opened", dutlink.serial)
    dutlink.power.on()
