import pytest

from tests.no_hardware.suite.boards.programs.board_life_head import note, one, two


@pytest.fixture(scope="session")
def ends_badly(dutlink):
    yield dutlink
    raise RuntimeError("at its end")


@pytest.fixture(scope="session")
def ends_well(ends_badly):
    yield
    note("ended well")


@one
def test_1(ends_well):
    pass


@one
def test_2(ends_well):
    pass


@two
def test_3(dutlink):
    dutlink.power.read()


def test_4():
    pass
