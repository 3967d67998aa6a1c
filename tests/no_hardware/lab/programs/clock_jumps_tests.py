import os
import time
from datetime import UTC, datetime

import pytest

import hil.lab.locks.holder

pytestmark = pytest.mark.hardware


def jumped():
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def jump():
    now, jump_s = time.time, float(os.environ["JUMP"])
    time.time = lambda: now() + jump_s
    hil.lab.locks.holder.utc_now = jumped


def test_before(power):
    power.on()


def test_the_clock_jumps(dutlink, power, storage, console):
    power.cycle()
    jump()
    assert console.expect(rb"boot> ", timeout_s=30)
    with power.trace():
        power.read()
    storage.host()
    storage.wait_for_node(30)
    with pytest.raises(Exception, match="did not come"):
        console.expect(rb"what never comes", timeout_s=0.5)
    power.force_on()


def test_after(power):
    power.force_on()
