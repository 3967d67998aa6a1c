import json
import os

import pytest

from hil.sim.management.client import ManagementClient


def pull(board):
    job = json.load(open(os.environ["HIL_KERNEL_JOB"]))
    with ManagementClient(job["ready"]["control_port"], job["address"], job["ready"]["token"]) as client:
        client.fault(board.serial, "unplug")


PHASE = os.environ["HIL_PULL_IN"]


@pytest.fixture
def pulled_in_setup(dutlink):
    if PHASE == "setup":
        pull(dutlink)
        dutlink.power.read()
    yield
    if PHASE == "teardown":
        pull(dutlink)
        dutlink.power.read()


def test_pulled(pulled_in_setup, dutlink):
    if PHASE == "call":
        pull(dutlink)
        dutlink.power.read()


def test_later(power):
    power.read()
