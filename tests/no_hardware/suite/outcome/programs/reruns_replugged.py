"""A test fails after its board was unplugged, and plugged in again if `PLUGGED` says so."""
# ruff: noqa: F821 - the test adds these names

import os

import pytest

from hil.sim.management.client import ManagementClient


@pytest.fixture(scope="session")
def powered(power):
    power.force_on()
    return power


def test_it(powered):
    ATTEMPTS.append(1)
    powered.read()
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        assert client.state(os.environ["INNER_SERIAL"])["supply"]
    if len(ATTEMPTS) == 1:
        fault("unplug")
        fault("replug" if PLUGGED else "unplug")
        pytest.fail("a real failure")


def test_next(power):
    power.read()
