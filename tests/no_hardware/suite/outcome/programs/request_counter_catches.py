import os
from contextlib import suppress

from hil.sim.management.client import ManagementClient


def refuse(dutlink):
    ManagementClient(int(os.environ["INNER_CONTROL"])).fault(dutlink.serial, "stall")


def test_catches(dutlink):
    refuse(dutlink)
    with suppress(Exception):
        dutlink.power.read()
    dutlink.power.read()


def test_after_it(dutlink):
    dutlink.power.read()


def test_fails(dutlink):
    refuse(dutlink)
    dutlink.power.read()
