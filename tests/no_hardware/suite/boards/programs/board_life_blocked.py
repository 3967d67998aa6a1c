import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.errors import UsbBlockedError
from hil.sim.process import SimulatorProcess
from tests.no_hardware.suite.boards.programs.board_life_head import KEPT, ONE, note, sim


@pytest.fixture(scope="module")
def booted(dutlink):
    dutlink.power.on()
    KEPT.append(dutlink)
    yield dutlink
    dutlink.power.off()
    note("off")


def test_1(booted):
    booted.power.read()


def test_2_board_of_the_run():
    for use in (KEPT[0].power.read, KEPT[0].storage.host, lambda: KEPT[0].console.send("x")):
        with pytest.raises(UsbBlockedError):
            use()


def test_3_run_s_boards_opened_anew():
    with pytest.raises(UsbBlockedError):
        open_driver(simulated_host(sim.hello()), ONE)


def test_3_own_simulator():
    with SimulatorProcess(boards=1) as own, open_driver(simulated_host(own.ready)) as board:
        board.power.force_on()


def test_4_last_of_the_module():
    pass
