import os
import unittest

import pytest
import usb.core  # noqa: F401 - for what follows

from hil.sim.management.client import ManagementClient


def fault(name):
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["INNER_SERIAL"], name)


def lose(power):
    fault("unplug")
    power.on()


class OnBoard(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take_board(self, power):
        self.power = power


def test_0_reads(power):
    power.read()
