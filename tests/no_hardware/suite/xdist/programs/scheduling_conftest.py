import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from hil.boards.requirements import BoardInfo, BoardRequirement
from hil.suite.xdist.plugin import BoardScheduling, worker_channel

FOLDER = Path(__file__).parent
WAY = os.environ.get("FAKE_WAY", "")
CARDS = [BoardInfo(*info[:2], frozenset(info[2:]), WAY) for info in json.loads(os.environ["FAKE_BOARDS"])]


class FakeSuite:
    def boards(self, config, requirements=(), workers=0):
        return CARDS

    def listed_boards(self, config):
        return []

    def return_to_lab(self, config, serial):
        note(not_needed=serial)

    def requirement(self, item):
        mark = item.get_closest_marker("hardware")
        return mark and BoardRequirement(frozenset(mark.kwargs.get("tags", ())), mark.kwargs.get("board", ""))

    def controller_gone(self, config):
        FOLDER.joinpath("gone-" + config.workerinput["workerid"]).touch()
        os._exit(3)


def pytest_addoption(pluginmanager):
    pluginmanager.register(BoardScheduling(FakeSuite()))


def pytest_configure(config):
    config.addinivalue_line("markers", "hardware: needs a board")


def note(**facts):
    with FOLDER.joinpath("log").open("a") as log:
        log.write(json.dumps(facts) + "\n")


HELD = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    channel = worker_channel(item.config)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "-")
    hardware = item.get_closest_marker("hardware") is not None
    serial = channel.board(item.nodeid) if channel and channel.schedules and hardware else None
    if serial and serial not in HELD:
        began = time.monotonic()
        HELD[serial] = FOLDER.joinpath("lock-" + serial).open("w")
        fcntl.flock(HELD[serial], fcntl.LOCK_EX)
        note(got=serial, worker=worker, waited_s=time.monotonic() - began)
    note(test=item.nodeid, worker=worker, board=serial)
    result = yield
    if channel and channel.is_last_hardware(item.nodeid):
        HELD.pop(serial).close()
        note(gave_back=serial, worker=worker)
    return result
