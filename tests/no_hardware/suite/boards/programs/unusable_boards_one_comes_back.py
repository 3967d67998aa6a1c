import os
import time
from pathlib import Path

import pytest

from hil.lab.safe_state.record import read_record
from hil.sim.management.client import ManagementClient


def fault(name):
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["BAD"], name)


@pytest.mark.hardware(tags="a")
def test_loses_it(power):
    power.force_on()
    fault("unplug")
    power.read()


@pytest.mark.hardware(tags="b")
def test_goes_on(power):
    lock = Path(os.environ["HIL_LOCK_DIR"]) / f"hil-board-{os.environ['BAD']}.lock"
    while "making the board safe" not in (lock.read_text() if lock.exists() else ""):
        time.sleep(0.05)
    fault("replug")
    while read_record(lock.parent, os.environ["BAD"]).state != "safe":
        time.sleep(0.05)
