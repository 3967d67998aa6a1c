"""The driver that an exporter's configuration names: `type: hil.jumpstarter.exporter.driver.Dutlink`.

Stock clients can use power, storage and console; clients that have hil can use all of it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jumpstarter.driver import Driver
from jumpstarter_driver_composite.driver import CompositeInterface

from hil.boards.address import Where, parse_boards
from hil.boards.lease_and_open import Terms, lease_boards
from hil.boards.sources import source_of
from hil.dutlink.discovery import serials_on
from hil.errors import BoardAbsentError, UsageError
from hil.jumpstarter.exporter.base_driver import access_queue_of
from hil.jumpstarter.exporter.hil_drivers import PinsDriver, SettingsDriver, WholeBoardDriver
from hil.jumpstarter.exporter.stock_drivers import ConsoleDriver, PowerDriver, StorageDriver
from hil.jumpstarter.exporter.tenant import ExportedBoard, Tenant
from hil.lab.config.lab_file import find_lab

if TYPE_CHECKING:
    from hil.boards.address import BoardsOption
    from hil.dutlink.host import Host

__all__ = ["Dutlink", "claim_board"]

logger = logging.getLogger(__name__)

_claimed: dict[tuple[str, str], ExportedBoard] = {}
_claim_lock = threading.Lock()


def claim_board(serial: str, boards: str, lab_file: str | None, wait_s: float) -> ExportedBoard:
    """Acquire a board of this host for the life of this process; repeated calls return the same object.

    It is acquired as a test run would, with the host's lease and a guard, whatever starts the exporter
    (`jmp run` or another program). So test runs of this host and the exporter never use a board at the same
    time, and the guard of a killed exporter makes the board safe.

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
    (lease,) = lease_boards(source, [[number]], terms)
    lease.keep_lock()
    return ExportedBoard(source, lease, lab)


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


@dataclass(kw_only=True)
class Dutlink(CompositeInterface, Driver):
    """One DUTLink board, with a child each for power, storage, console, pins, settings and the whole board.

    The first instance acquires the host's lease for the life of the process. Jumpstarter makes an instance
    for each of its own leases: the board is made safe when that lease begins, and again when it ends.

    Attributes:
        serial: Serial number of the board, or the name of its place; empty: the only board there is.
        boards: `usb`, or `sim@PORT` for boards that `hil sim` simulates.
        lab: The lab file; empty: the file that a test run would find.
        wait_s: How long to wait for a local user to release the board, in seconds.
        spool: Folder for received images; empty: the system's folder for temporary files.
    """

    serial: str = ""
    boards: str = "usb"
    lab: str = ""
    wait_s: float = 10.0
    spool: str = ""

    def __post_init__(self) -> None:
        """Acquire the board and make its drivers."""
        super().__post_init__()
        _check_serial(self.serial)
        exported = claim_board(self.serial, self.boards, self.lab or None, self.wait_s)
        self._tenant = Tenant(exported)
        shared = {"tenant": self._tenant, "access_queue": access_queue_of(exported.serial)}
        console = ConsoleDriver(**shared)
        self.children |= {
            "power": PowerDriver(**shared),
            "storage": StorageDriver(**shared, spool=self.spool),
            "console": console,
            "pins": PinsDriver(**shared),
            "settings": SettingsDriver(**shared),
            "board": WholeBoardDriver(**shared, console=console, spool=self.spool),
        }

    def extra_labels(self) -> dict[str, str]:
        """Return a label with the board's serial number."""
        return {"dutlink.hil/serial": self._tenant.serial}

    def reset(self) -> None:
        """Begin a Jumpstarter lease: attach this tree to the board, which is safe before the first call."""
        self._tenant.attach()
        super().reset()

    def close(self) -> None:
        """End the Jumpstarter lease: make the board safe, unless another lease has it already."""
        super().close()
        self._tenant.detach()


def _check_serial(serial: object) -> None:
    """Check that YAML read the serial number as text: it reads digits alone as a number, perhaps octal.

    Raises:
        UsageError: The serial number is no text.
    """
    if not isinstance(serial, str):
        raise UsageError(
            f"config: serial: {serial!r} is no text",
            why="YAML reads digits as a number; a serial number is text of eight characters",
            remedy='put quotes around it: serial: "01234567"',
        )
