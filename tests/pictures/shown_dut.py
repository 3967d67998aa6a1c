"""A product's tests as a user might have them: what the pictures in README and docs are taken of.

They run on simulated boards, and some go wrong on purpose: one since a commit, one now and then, one is no
longer run, and all that look at the supply fail on the board whose supply sags.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep

import pytest

from hil.sim.dut.image import build_image

NIGHT = int(os.environ["SHOWN_NIGHT"])
LOOKS_S = float(os.environ["SHOWN_LOOKS_S"])
"""How long a test looks at the DUT's power; the pictures show it of the newest night alone."""

IMAGE_BYTES = 8 << 20


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "product.img"
    build_image(path, "product-1.4", IMAGE_BYTES)
    return path


@pytest.fixture(scope="session")
def flashed(dutlink, image):
    dutlink.storage.flash(image)
    return dutlink


@pytest.fixture
def dut(flashed, console):
    """The DUT, booted from the image that was flashed, and logged in."""
    flashed.make_safe()
    flashed.storage.dut()
    flashed.power.on()
    console.login("root", "hil")
    return flashed


def test_the_image_boots_to_a_login(dut, console):
    assert console.run("uname").status == 0


def test_the_system_comes_back_after_a_reset(dut, console, pins):
    pins.pulse_reset(0.2)
    console.login("root", "hil")


def test_the_shell_knows_its_commands(dut, console):
    assert "reboot" in console.run("help").output


def test_it_reboots_by_itself(dut, console):
    console.sendline("reboot")
    console.login("root", "hil")


def test_the_image_on_the_stick_is_the_one_that_was_built(flashed, storage, image):
    assert not storage.flash(image).written_bytes


@pytest.mark.parametrize("load", ["idle", "camera", "radio", "disk", "display", "fan", "all"])
def test_the_supply_holds_under_load(dut, power, load):
    assert power.read().volts > 4.75, f"the supply sags with {load}"


def test_it_idles_below_five_watts(dut, power):
    with power.trace() as trace:
        sleep(2.5)
    trace.assert_mean_below(5.0)


def test_switched_off_it_draws_nothing(dut, power):
    power.force_off()
    power.wait_until_off(timeout_s=10)


def test_the_radio_finds_its_access_point(dut):
    seen = Path(os.environ["SHOWN_SEEN"], f"radio-{NIGHT}")
    first = not seen.exists()
    seen.touch()
    assert not (first and NIGHT % 3 == 1), "no access point within 10 s"


def test_the_camera_delivers_a_picture(dut):
    if NIGHT >= 4:
        pytest.skip("no camera on this bench")


def test_it_boots_within_its_budget(dut, console, power):
    lines = console.transcript.text.count("\n")
    sleep(LOOKS_S)
    power.force_off()
    sleep(LOOKS_S)
    assert NIGHT < 8 or lines < 10, f"the boot log has {lines} lines, and every one takes its time"
