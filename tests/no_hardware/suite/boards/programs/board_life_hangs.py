import time

import pytest

from tests.no_hardware.suite.boards.programs.board_life_head import one, two


@pytest.fixture(scope="session")
def hangs(dutlink):
    yield
    time.sleep(60)


@one
@pytest.mark.timeout(3, method="signal")
def test_1(hangs):
    pass


@two
def test_2(dutlink):
    dutlink.power.read()


def test_3():
    pass
