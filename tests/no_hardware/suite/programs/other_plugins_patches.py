from unittest import mock

import hil
from hil.boards import acquired
from hil.dutlink.usb.control_link import ControlLink
from hil.lab.safe_state import action

METHODS = {
    hil.Board: ["make_safe"],
    hil.Power: ["force_off", "off", "read", "wait_until_off"],
    hil.Pins: ["set", "floating", "float_all"],
    hil.Storage: ["off", "user"],
    ControlLink: ["control_out", "control_in", "snapshot_read"],
    action: ["sleep"],
}


def test_leaves_mocks_and_a_powered_dut(dutlink):
    dutlink.power.force_on()
    dutlink.storage.host()
    dutlink.pins.low("a")
    for owner, names in METHODS.items():
        for name in names:
            mock.patch.object(owner, name).start()  # and never stopped


def test_replaces_the_action(dutlink):
    dutlink.power.force_on()
    mock.patch.object(acquired, "apply_policy").start()
