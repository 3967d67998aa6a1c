"""Acquire a board of this host for the life of the exporter's process.

The first driver that is made acquires the board as a test run would, with the host's lease and a guard,
whatever starts the exporter (`jmp run` or another program). So test runs of this host and the exporter never
use a board at the same time, and the guard of a killed exporter makes the board safe.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards.acquire import Terms, lease_board
from hil.boards.address import Where, parse_boards
from hil.boards.sources import source_of
from hil.dutlink.discovery import serials_on
from hil.errors import BoardAbsentError, UsageError
from hil.jumpstarter.exporter.tenant import ExportedBoard
from hil.lab.config.lab_file import find_lab

if TYPE_CHECKING:
    from hil.boards.address import BoardsOption
    from hil.dutlink.host import Host

__all__ = ["claim_board"]

logger = logging.getLogger(__name__)

_claimed: dict[tuple[str, str], ExportedBoard] = {}
_claim_lock = threading.Lock()


def claim_board(serial: str, boards: str, lab_file: str | None, wait_s: float) -> ExportedBoard:
    """Acquire a board of this host; repeated calls for the same board return the same object.

    Args:
        serial: Serial number of the board, or the name of its place; empty: the only board there is.
        boards: Where the board is: `usb`, or `sim@PORT` for a running simulator.
        lab_file: The lab file; None: the file that a test run would find.
        wait_s: How long to wait for a local user to release the board, in seconds.

    Raises:
        UnavailableError: The board is absent, denied, or stayed in use.
        UsageError: There are several boards and `serial` is empty, or `boards` names no existing boards.
    """
    with _claim_lock:
        key = (boards, serial)
        if key not in _claimed:
            _claimed[key] = _acquire(serial, boards, lab_file, wait_s)
        return _claimed[key]


def _acquire(serial: str, boards: str, lab_file: str | None, wait_s: float) -> ExportedBoard:
    option, lab = _checked(boards), find_lab(lab_file, Path.cwd())
    source = source_of(option, lab=lab)
    number = lab.serial_of(serial) if serial else _only(source.host())
    terms = Terms(use="Jumpstarter exporter", tell=logger.warning, wait_s=wait_s, wait_option="wait_s")
    return ExportedBoard(source, lease_board(source, [number], terms), lab)


def _checked(boards: str) -> BoardsOption:
    option = parse_boards(boards)
    if option.where not in {Where.USB, Where.RUNNING}:
        raise UsageError(
            f"an exporter cannot offer boards {boards!r}",
            why="it offers a board that exists already",
            remedy="boards: usb, or sim@PORT with the management port of hil sim",
        )
    return option


def _only(host: Host) -> str:
    serials = serials_on(host)
    if len(serials) == 1:
        return serials[0]
    if serials:
        raise UsageError(
            f"the exporter's configuration names none of {len(serials)} boards",
            why=f"this host has {', '.join(serials)}",
            remedy=f"config: {{serial: {serials[0]}}}",
        )
    raise BoardAbsentError(
        f"no DUTLink board found on {host.label}",
        why="no device on the bus tells a serial number of a DUTLink board",
        remedy="plug a board in, or check its cable; hil boards shows what is found",
    )
