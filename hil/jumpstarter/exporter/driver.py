"""A DUTLink board for Jumpstarter's exporter: `type: hil.jumpstarter.exporter.driver.Dutlink`.

Stock clients find power, storage and console as they know them; clients that have hil find the rest, too.
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
    """One board: power, storage, console, pins, settings, and the board itself.

    Making the first one takes the host's lease, for the life of the process; each one is safe when its
    Jumpstarter lease begins, and again when that ends.

    Attributes:
        serial: Serial number of the board, or the name of its place; empty: the only one there is.
        boards: `usb`, or `sim@PORT` for boards that `hil sim` simulates.
        lab: The lab file; empty: where a run would look for it.
        wait_s: How long to wait for somebody of this host who uses the board, in seconds.
        spool: Folder for images on their way to the stick; empty: the system's for temporary files.
    """

    serial: str = ""
    boards: str = "usb"
    lab: str = ""
    wait_s: float = 10.0
    spool: str = ""

    def __post_init__(self) -> None:
        """Hold the board and make its parts."""
        super().__post_init__()
        _check_serial(self.serial)
        exported = claim_board(self.serial, self.boards, self.lab or None, self.wait_s)
        self._tenant = Tenant(exported)
        rights = {"tenant": self._tenant, "access_queue": access_queue_of(exported.serial)}
        console = ConsoleDriver(**rights)
        self.children |= {
            "power": PowerDriver(**rights),
            "storage": StorageDriver(**rights, spool=self.spool),
            "console": console,
            "pins": PinsDriver(**rights),
            "settings": SettingsDriver(**rights),
            "board": WholeBoardDriver(**rights, console=console, spool=self.spool),
        }

    def extra_labels(self) -> dict[str, str]:
        """Tell which board it is."""
        return {"dutlink.hil/serial": self._tenant.serial}

    def reset(self) -> None:
        """Begin a lease: the board is this tree's, and safe before its first call."""
        self._tenant.attach()
        super().reset()

    def close(self) -> None:
        """End it: the board is made safe, unless another lease has it by now."""
        super().close()
        self._tenant.detach()


def _check_serial(serial: object) -> None:
    """See to it that YAML took a serial number for text: one of digits alone is a number to it, or octal.

    Raises:
        UsageError: It did not.
    """
    if not isinstance(serial, str):
        raise UsageError(
            f"config: serial: {serial!r} is not understood",
            why="YAML takes digits for a number; a serial number is text of eight characters",
            remedy='put quotes around it: serial: "01234567"',
        )
