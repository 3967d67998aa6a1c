"""What the tests of this folder share: a board that is safe again afterwards, and the bench's own facts.

They run on any bench: the DUT is unknown, so are the board's power sequences, and the stick may hold
anything, which is why nothing here reads or writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import sleep
from tests.hardware.meter_watch import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.usb.control_link import ControlLink


@pytest.fixture
def safe_after(dutlink: Board) -> Iterator[None]:
    """Make the board safe again whatever the test did."""
    yield
    dutlink.make_safe()


@pytest.fixture(scope="session")
def link(dutlink: Board) -> ControlLink:
    """Control requests as they are, for what the nouns would never send."""
    return dutlink._link


@pytest.fixture(scope="session")
def meter(dutlink: Board) -> Meter:
    """The meter, and what it reads when nothing is drawn: the sensor has an offset of its own."""
    dutlink.power.force_off()
    sleep(SETTLE_S)  # nothing announces that the average has forgotten what was before
    return Meter(dutlink.power, offset_amps=dutlink.power.read().amps)


@pytest.fixture
def uart(dutlink: Board) -> Console:
    """The console, where it is the board's own UART: only there is the board's shell."""
    if not dutlink.console.tty.is_board:
        pytest.skip("the DUT has a console of its own here, so the board's modes do not concern it")
    return dutlink.console.open()
