from __future__ import annotations

import pytest

from hil.dutlink.dut_event import DutEvent, PowerEvent, ResetEvent
from hil.dutlink.usb.protocol import PowerAction

BLIND = "; blind for 0.3 s: its sequence lets no console byte through"


@pytest.mark.parametrize(
    ("event", "words", "starts_dut"),
    [
        (PowerEvent(PowerAction.ON), "power on", True),
        (PowerEvent(PowerAction.ON, 0.3), f"power on{BLIND}", True),
        (PowerEvent(PowerAction.ON, is_done=True), "power on is done", False),
        (PowerEvent(PowerAction.FORCE_ON), "power force-on", True),
        (PowerEvent(PowerAction.RESCUE, 0.3), f"power rescue{BLIND}", True),
        (PowerEvent(PowerAction.OFF), "power off", False),
        (PowerEvent(PowerAction.FORCE_OFF), "power force-off", False),
        (ResetEvent(), "reset low", True),
    ],
)
def test_dut_event_says_what_happens_and_whether_the_dut_may_start(
    event: DutEvent, words: str, starts_dut: bool
) -> None:
    assert (str(event), event.starts_dut) == (words, starts_dut)
