import os

import pytest

from hil.sim.management.client import ManagementClient


@pytest.fixture(scope="function")  # noqa: PT003 - tests write another scope
def switched_off_afterwards(power):
    yield
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["INNER_SERIAL"], "unplug")
    power.force_off()


def test_passes(switched_off_afterwards, power):
    power.read()
