import pytest
import pytest_asyncio

from tests.no_hardware.suite.boards.programs.board_life_head import ONE, TWO, note, one, two


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def awaited(dutlink):
    note("awaited", "up", dutlink.serial)
    yield dutlink
    note("awaited", "down", dutlink.serial, dutlink.power.read() is not None)


@one
@pytest.mark.asyncio(loop_scope="session")
async def test_1(awaited):
    assert awaited.serial == ONE


@two
@pytest.mark.asyncio(loop_scope="session")
async def test_2(awaited):
    assert awaited.serial == TWO
