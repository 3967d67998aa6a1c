# ruff: noqa: B018, F821 - the test fills in what stands in braces
import os

import pytest

from hil.sim.management.client import ManagementClient


def unplug():
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["INNER_SERIAL"], "unplug")


@pytest.fixture
def off_afterwards(power):
    yield power
    power.force_off()


def test_1(subtests, off_afterwards, power):
    {body}
