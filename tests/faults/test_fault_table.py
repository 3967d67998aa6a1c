"""Every row of the table of faults: on a simulated host, and on Linux itself in `nox -s kernel`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.usb.error_mapping import translate
from tests.faults.fault_row import FaultRow, Raised, markdown
from tests.faults.fault_table import STICK, TTY, USB
from tests.faults.node_acts import STICK_ACTS, TTY_ACTS
from tests.faults.usb_acts import USB_ACTS
from tests.faults.worlds import JOB

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.worlds import World

ACTS = USB_ACTS | TTY_ACTS | STICK_ACTS
ROWS = [row for row in USB + TTY + STICK if JOB or not row.kernel_only]
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def raised_by(call: Callable[[], object]) -> Exception | None:
    """What the call raises; None, and the call gave nothing, where the table says so."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever comes is the point
        return error
    return None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.act)
def test_a_fault_raises_what_the_table_says_and_is_seen_as_the_table_says(
    row: FaultRow, world: World, serial: str
) -> None:
    with ExitStack() as stack:
        call = ACTS[row.act](world, serial, stack)

        error = raised_by(call)
        verdict = world.look(serial)

    assert facts(error) in row.expected
    assert verdict is row.verdict
    if error is not None and row.ours is not None:
        assert type(translate(error, row.source, "what")) is row.ours


def facts(error: Exception | None) -> Raised | None:
    """What the table notes of an exception."""
    if error is None:
        return None
    number, code = (getattr(error, name, None) for name in ("errno", "backend_error_code"))
    return Raised(type(error).__name__, number, code)


def test_every_row_has_its_act_and_every_act_its_row() -> None:
    assert sorted(ACTS) == sorted(row.act for row in USB + TTY + STICK)


@pytest.mark.parametrize("rows", [USB, TTY, STICK], ids=["usb", "tty", "stick"])
def test_the_page_shows_the_table(rows: tuple[FaultRow, ...]) -> None:
    assert markdown(rows) in PAGE.read_text("utf-8")
