import os
import sys

import pytest

from hil.sim.management.client import ManagementClient


@pytest.fixture(scope="session")
def rig(dutlink):
    yield dutlink
    sys.exit(3)


def test_1(rig):
    rig.power.on()


def test_2():
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["INNER_SERIAL"], "unplug")
        client.fault(os.environ["INNER_SERIAL"], "replug")


def test_3(rig):
    rig.power.read()


def test_4():
    pass
