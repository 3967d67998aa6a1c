import os

import pytest  # noqa: F401 - for what tests put into it

from hil.sim.management.client import ManagementClient


def fault(name, **arguments):
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["INNER_SERIAL"], name, **arguments)


def test_1_loses_the_board(power):
    fault({fault})
    power.read()


def test_2_comes_later(power):
    power.read()


def test_3_comes_later_still(power):
    power.read()
