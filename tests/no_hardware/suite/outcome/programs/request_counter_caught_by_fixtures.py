import os
from contextlib import suppress

import pytest
import usb.core

from hil.sim.management.client import ManagementClient


def fault(dutlink, name):
    ManagementClient(int(os.environ["INNER_CONTROL"])).fault(dutlink.serial, name)


@pytest.fixture(scope="session")
def warm(dutlink):
    fault(dutlink, "stall")
    with suppress(Exception):
        dutlink.power.read()
    return dutlink.power


@pytest.fixture(scope="session")
def rig(request):
    return request.getfixturevalue("warm")


@pytest.fixture
def cools(dutlink):
    yield dutlink.power
    fault(dutlink, "stall")
    with suppress(Exception):
        dutlink.power.off()


def test_warm(warm):
    warm.read()


def test_warm_again(warm):
    warm.read()


def test_rig(rig, warm):
    rig.read()


@pytest.mark.hardware
def test_rig_again(rig):
    rig.read()


def test_other(power):
    power.read()


def test_cools(cools):
    cools.read()


def test_after_it(power):
    power.read()


def test_raw(dutlink):
    dutlink.power.read()
    device = usb.core.find(backend=dutlink.host.backend(), serial_number=dutlink.serial)
    fault(dutlink, "stall")
    with suppress(usb.core.USBError):
        device.ctrl_transfer(0xC1, 2, 0, 0, 64)


def test_unplugged(dutlink, console):
    dutlink.power.read()
    fault(dutlink, "unplug")
    with suppress(OSError):
        console.tty.path.open("rb")
