import pytest

from tests.no_hardware.suite.boards.programs.board_life_head import ONE, TWO, sim


@pytest.fixture(scope="session")
def booted(dutlink):
    dutlink.power.on()
    yield dutlink
    dutlink.power.off()


def test_1(booted):
    pass


def test_2(booted):
    for serial in (ONE, TWO):
        sim.fault(serial, "unplug")
    booted.power.read()


def test_3():
    pass


def test_4():
    pass
