# ruff: noqa: F821 - the test fills in what stands in braces
import pytest

from hil.boards.address import parse_boards
from hil.boards.sources import source_of
from hil.dutlink.board import open_driver
from hil.errors import LeaseEndedError

host = source_of(parse_boards({boards})).host()
boards = [open_driver(host, serial, console=False) for serial in {serials}]


def test_uses_a_board_that_its_file_opened(dutlink):
    for board in boards:
        with pytest.raises(LeaseEndedError, match="before the run"):
            board.power.force_on()
