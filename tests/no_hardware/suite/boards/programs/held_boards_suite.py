import os

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.discovery import list_boards
from hil.dutlink.host import Host
from hil.errors import LeaseEndedError, NotLeasedError

KEPT = []


@pytest.fixture
def others(dutlink):
    return [seen.serial for seen in list_boards(dutlink.host) if seen.serial != dutlink.serial]


def test_board_of_another_lease_is_refused(dutlink, others):
    with pytest.raises(NotLeasedError, match="def test_x"):
        open_driver(dutlink.host, others[0], console=False)
    dutlink.power.read()


def test_a_made_up_host_opens_no_more(dutlink, others):
    host = Host(backend=dutlink.host.backend, dev=dutlink.host.dev, sys=dutlink.host.sys)
    with pytest.raises(NotLeasedError):
        open_driver(host, others[0], console=False)
    dutlink.power.read()


def test_own_board_is_opened_again(dutlink):
    kept = open_driver(dutlink.host, dutlink.serial, console=False)
    kept.power.on()
    KEPT.append(kept)


def test_board_that_is_not_named_is_the_own_one(dutlink):
    with open_driver(dutlink.host, console=False) as board:
        assert board.serial == dutlink.serial
        board.power.read()


def test_fork_opens_none(dutlink):
    dutlink.power.read()
    child = os.fork()
    if not child:
        try:
            open_driver(dutlink.host, dutlink.serial, console=False)
        except NotLeasedError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_after_the_last_test_with_a_board():
    with pytest.raises(LeaseEndedError):
        KEPT[0].power.on()
