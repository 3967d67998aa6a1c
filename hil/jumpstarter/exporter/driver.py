"""The driver that an exporter's configuration names: `type: hil.jumpstarter.exporter.driver.Dutlink`.

Stock clients can use power, storage and console; clients that have hil can use all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jumpstarter.driver import Driver
from jumpstarter_driver_composite.driver import CompositeInterface

from hil.errors import UsageError
from hil.jumpstarter.exporter.access_queue import access_queue_of
from hil.jumpstarter.exporter.board_claim import claim_board
from hil.jumpstarter.exporter.console_driver import ConsoleDriver
from hil.jumpstarter.exporter.pins_driver import PinsDriver
from hil.jumpstarter.exporter.power_driver import PowerDriver
from hil.jumpstarter.exporter.settings_driver import SettingsDriver
from hil.jumpstarter.exporter.storage_driver import StorageDriver
from hil.jumpstarter.exporter.tenant import Tenant
from hil.jumpstarter.exporter.whole_board_driver import WholeBoardDriver

__all__ = ["Dutlink"]


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
