"""A test leaves a mock of pyusb in force; the boards of the tests after it are well."""

import os
from unittest import mock

import pytest
import usb.core

GONE = usb.core.USBError("No such device", -4, 19)
LEAKS = {
    "usb.core.find": {"return_value": ()},
    "usb.core.Device": {"side_effect": GONE},
    "usb.core.Device.ctrl_transfer": {"side_effect": GONE},
    "hil.dutlink.discovery.candidates": {"return_value": []},
}


@pytest.mark.no_hardware
def test_leaks():
    mock.patch(os.environ["INNER_LEAK"], **LEAKS[os.environ["INNER_LEAK"]]).start()


def test_after_it(power):
    assert power.read() is None


@pytest.mark.mixed
def test_mixed_after_it(power):
    assert power.read()
