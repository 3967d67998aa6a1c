# ruff: noqa: F821 - `time_limit_head.py` stands before it
from hil.boards.address import parse_boards
from hil.boards.sources import source_of
from hil.dutlink.discovery import probe
from hil.errors import Verdict


class Between:
    def __init__(self, serial):
        self.serial = serial

    def pytest_runtest_logfinish(self):
        port = os.environ["INNER_CONTROL"]
        host = source_of(parse_boards("sim@" + port)).host()
        simulator = ManagementClient(int(port))
        simulator.fault(self.serial, "unplug")
        simulator.clear(self.serial)
        while probe(host, self.serial, 1.0).verdict is not Verdict.PRESENT:
            pass


def test_1(hangs_late, request):
    request.config.pluginmanager.register(Between(hangs_late.serial))


def test_2(dutlink):
    dutlink.power.read()
