"""Tests that run on each board with each image; the picture of their page is in README.

One goes wrong on purpose: the newer image takes longer to come up than its limit allows.
"""

from __future__ import annotations

import os
from time import sleep

import pytest


@pytest.fixture
def dut(dutlink, console):
    dutlink.power.cycle()
    console.login("root", "hil")
    return dutlink


def test_boot(dutlink, image, measure):
    with measure.time("boot", below_s=8):
        dutlink.power.cycle()
        dutlink.wait_until_up()
        sleep(float(os.environ["SHOWN_SLOWER_S"]) if image.version == "v2.1" else 0.0)


def test_shell(dut, console):
    assert console.run("uname").status == 0


def test_reset(dut, console, pins):
    pins.pulse_reset(0.2)
    console.login("root", "hil")


def test_idle_power(dut, power, measure):
    with power.trace() as trace:
        sleep(1.0)
    measure.power("idle", trace, mean_below_watts=9.0)


@pytest.mark.hardware(boards=2)
def test_link(dutlinks):
    for board in dutlinks.values():
        board.power.cycle()
        board.wait_until_up()
