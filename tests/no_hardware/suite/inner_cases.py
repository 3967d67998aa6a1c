"""The cases that a conftest for hardware must get right; test_cases.py runs this file as a suite.

N: a test that uses no board. H: one that does. Every body notes that it ran.
"""

import os
import subprocess
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

import pytest
import usb.core

from hil.dutlink.power.power import Power
from hil.sim.management.client import ManagementClient

BODIES = Path(os.environ["CASES_BODIES"])
MISSING = "no-such-file.bin"
STALL = 32


def note(name: str) -> int:
    """Note that a body ran; how often it has by now."""
    with BODIES.open("a") as bodies:
        bodies.write(f"{name}\n")
    return BODIES.read_text().split().count(name)


def test_01_n_passes() -> None:
    note("01")


def test_02_n_cannot_be_repeated() -> None:
    note("02")
    BODIES.with_name("made-once").mkdir()


@pytest.mark.timeout(1.9)
def test_03_n_takes_more_than_half_of_its_time() -> None:
    note("03")
    time.sleep(1.0)


def test_04_n_misspelt_file() -> None:
    note("04")
    Path(MISSING).read_bytes()


def test_05_n_misspelt_program() -> None:
    note("05")
    subprocess.run(["no-such-program"], check=True)


@pytest.mark.parametrize("error", [usb.core.USBError("x", -1, 5), usb.core.NoBackendError("x")])
def test_06_n_usb_error(error: Exception) -> None:
    note("06")
    raise error


@pytest.mark.parametrize("error", [PermissionError(13, "x"), ConnectionResetError(104, "x")])
def test_07_n_other_os_error(error: Exception) -> None:
    note("07")
    raise error


@pytest.mark.xfail(strict=True, raises=FileNotFoundError, reason="the case")
def test_08_n_expected_failure() -> None:
    note("08")
    Path(MISSING).read_bytes()


class Test09(unittest.TestCase):
    def setUp(self) -> None:
        note("09-setup")

    def tearDown(self) -> None:
        note("09-teardown")

    def test_09_n_unittest(self) -> None:
        note("09")
        Path(MISSING).read_bytes()


def test_10_n_assertion() -> None:
    note("10")
    raise AssertionError


@pytest.mark.flaky(reruns=2)
def test_11_n_passes_when_repeated() -> None:
    assert note("11") == 2


@pytest.fixture
def broken() -> None:
    Path(MISSING).read_bytes()


@pytest.mark.usefixtures("broken")
def test_12_n_error_in_setup() -> None:
    note("12")


@pytest.mark.hardware
def test_13_h_not_found_in_the_body() -> None:
    note("13")
    message = "dutlink not available"
    raise FileNotFoundError(message)


@pytest.mark.hardware
@pytest.mark.usefixtures("broken")
def test_14_h_not_found_in_setup() -> None:
    note("14")


@pytest.fixture
def breaks_afterwards() -> Iterator[None]:
    yield
    Path(MISSING).read_bytes()


@pytest.mark.hardware
@pytest.mark.usefixtures("breaks_afterwards")
def test_15_h_not_found_in_teardown() -> None:
    note("15")


@pytest.mark.hardware
def test_16_h_misspelt_data_file() -> None:
    note("16")
    Path(MISSING).read_bytes()


@pytest.mark.hardware
def test_17_h_stall() -> None:
    note("17")
    message = "Pipe error"
    raise usb.core.USBError(message, -9, STALL)


def test_17_h_stall_from_the_board(power: Power) -> None:
    note("17b")
    fault("stall", count=1)
    power.read()


@pytest.mark.hardware
def test_18_h_time_out_of_a_board_that_answers() -> None:
    note("18")
    message = "Operation timed out"
    raise usb.core.USBTimeoutError(message, -7, 110)


@pytest.mark.hardware
def test_22_h_assertion() -> None:
    note("22")
    raise AssertionError


@pytest.mark.hardware
def test_23_h_error_on_the_second_run_only() -> None:
    if note("23") > 1:
        raise FileNotFoundError(MISSING)


def test_h_with_a_fixture(power: Power) -> None:
    note("fixture")
    power.read()


@pytest.mark.hardware
@pytest.mark.xfail(strict=True, raises=FileNotFoundError, reason="the case")
def test_h_expected_failure() -> None:
    note("h-xfail")
    Path(MISSING).read_bytes()


@pytest.mark.hardware
class TestHUnittest(unittest.TestCase):
    def test_h_unittest(self) -> None:
        note("h-unittest")
        Path(MISSING).read_bytes()


@pytest.mark.hardware
@pytest.mark.flaky(reruns=1)
def test_h_passes_when_repeated() -> None:
    if note("h-flaky") == 1:
        raise FileNotFoundError(MISSING)


def fault(name: str, **arguments: int) -> None:
    with ManagementClient(int(os.environ["CASES_CONTROL"])) as client:
        client.fault(client.hello()["boards"][0]["serial"], name, **arguments)
