"""Taking a board of this host for as long as the exporter's process lives.

Whatever starts the exporter, `jmp run` or a program of one's own, the first driver that is made holds the
board as a test run would: with the host's lease and a guard. So runs of this host and the exporter never meet
on one board, and a killed exporter leaves a safe one.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards.address import Where, parse_boards
from hil.boards.sources import source_of
from hil.dutlink.discovery import serials_on
from hil.errors import BoardAbsentError, UsageError
from hil.jumpstarter.exporter.tenant import ExportedBoard
from hil.lab.config.lab_file import find_lab
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire

if TYPE_CHECKING:
    from hil.boards.address import BoardsOption
    from hil.dutlink.host import Host
    from hil.lab.locks.acquire import WaitStatus

__all__ = ["claim_board"]

logger = logging.getLogger(__name__)

_held: dict[tuple[str, str], ExportedBoard] = {}
_one_at_a_time = threading.Lock()


def claim_board(serial: str, boards: str, lab_file: str | None, wait_s: float) -> ExportedBoard:
    """Hold a board of this host; the same object whenever this process asks for the same board.

    Args:
        serial: Its serial number, or the name of its place; empty: the only one there is.
        boards: Where it is: `usb`, or `sim@PORT` for a running simulator.
        lab_file: The lab file; None: where a run would look for it.
        wait_s: How long to wait for somebody of this host who uses it, in seconds.

    Raises:
        UnavailableError: It is not there, may not be opened, or stayed in use.
        UsageError: There are several and none is named, or `boards` is no place where boards already are.
    """
    with _one_at_a_time:
        key = (boards, serial)
        if key not in _held:
            _held[key] = _hold(serial, boards, lab_file, wait_s)
        return _held[key]


def _hold(serial: str, boards: str, lab_file: str | None, wait_s: float) -> ExportedBoard:
    option, lab = _checked(boards), find_lab(lab_file, Path.cwd())
    source = source_of(option, lab=lab)
    host = source.host()
    number = lab.serial_of(serial) if serial else _only(host)
    lease = acquire(number, wait_s=wait_s, test="Jumpstarter exporter", on_wait=_tell, host=host)
    guarded = under_guard(lease, source.safety_of(number))
    return ExportedBoard(host, guarded, lab, simulated=source.is_simulated)


def _checked(boards: str) -> BoardsOption:
    option = parse_boards(boards)
    if option.where not in {Where.USB, Where.RUNNING}:
        raise UsageError(
            f"an exporter cannot offer boards {boards!r}",
            why="it offers one that is there already",
            remedy="boards: usb, or sim@PORT with the management port of hil sim",
        )
    return option


def _only(host: Host) -> str:
    serials = serials_on(host)
    if len(serials) == 1:
        return serials[0]
    if serials:
        raise UsageError(
            f"{len(serials)} boards are there, and the exporter's configuration names none",
            why=f"they are {', '.join(serials)}",
            remedy=f"config: {{serial: {serials[0]}}}",
        )
    raise BoardAbsentError(
        f"{host.label} has no DUTLink board",
        why="nothing that says its serial number is on the bus",
        remedy="plug one in, or check its cable; hil boards shows what is seen",
    )


def _tell(waiting: WaitStatus) -> None:
    logger.warning("waiting for a local user: %s", waiting)
