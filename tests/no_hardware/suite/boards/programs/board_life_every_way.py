# ruff: noqa: PLR0913, PLR0917 - every way to get a board, in one test
import contextlib
import os
import unittest

import pytest

from hil.lab.locks.acquire import acquire
from tests.no_hardware.suite.boards.programs.board_life_head import ONE, TWO, note, one, supply, two


@contextlib.contextmanager
def rests(name, board):
    note(name, "up", board.serial)
    yield board
    note(name, "down", board.serial, board.power.read() is not None)


@pytest.fixture(scope="session")
def dutlink(dutlink):  # extends the fixture of the parent
    with rests("override", dutlink):
        yield dutlink


@pytest.fixture(scope="session")
def by_name(dutlink):
    with rests("by_name", dutlink):
        yield dutlink


@pytest.fixture(scope="session")
def dynamic(request):
    with rests("dynamic", request.getfixturevalue("dutlink")) as board:
        yield board


@pytest.fixture(scope="session")
def on_dynamic(dynamic):
    with rests("on_dynamic", dynamic):
        yield dynamic


@pytest.fixture(scope="module")
def made_later(request):
    boards = []

    def make():
        boards.append(request.getfixturevalue("dutlink"))
        note("made_later", "up", boards[-1].serial)
        return boards[-1]

    yield make
    for board in boards:
        note("made_later", "down", board.serial, board.power.read() is not None)


@pytest.fixture(scope="session", params=[1, 2])
def numbered(request, dutlink):
    with rests(f"numbered {request.param}", dutlink):
        yield dutlink


@pytest.fixture(scope="session")
def unrelated():
    note("unrelated", "up", "")
    yield
    note("unrelated", "down", "")


def uses(serial, *boards):
    for board in boards:
        assert board.serial == serial
        board.power.force_on()
    assert supply(serial)


@one
def test_1(dutlink, by_name, dynamic, on_dynamic, made_later, unrelated):
    uses(ONE, dutlink, by_name, dynamic, on_dynamic, made_later())


@one
def test_2(numbered, made_later):
    uses(ONE, numbered, made_later())


@two
def test_3(dutlink, by_name, dynamic, on_dynamic, made_later, unrelated):
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    with acquire(ONE) if alone else contextlib.nullcontext():  # was given back
        assert not alone or not supply(ONE)
        uses(TWO, dutlink, by_name, dynamic, on_dynamic, made_later())


class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True, scope="class")
    def board(self, request):
        type(self).dut = request.getfixturevalue("dutlink")
        with rests("unittest", self.dut):
            yield

    @two
    def test_4(self):
        uses(TWO, self.dut)

    @one
    def test_5(self):
        uses(ONE, self.dut)
