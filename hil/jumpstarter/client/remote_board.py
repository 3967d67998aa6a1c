"""The board of an exporter, as a `Host` that has only this board."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.dutlink.console.tty import uart_name
from hil.dutlink.host import Host
from hil.dutlink.wiring import Wiring
from hil.jumpstarter.client.remote_backend import RemoteBackend
from hil.jumpstarter.client.remote_console import RemoteConsole
from hil.jumpstarter.client.remote_session import RemoteSession
from hil.jumpstarter.client.remote_stick import Placeholder, RemoteStick
from hil.jumpstarter.protocol.board_description import apply_wiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.jumpstarter.client.connection import ExporterConnection

__all__ = ["RemoteBoard"]


class RemoteBoard:
    """An exporter's board that this run uses alone.

    Args:
        connection: Connection to the exporter; closed with the board.
        wait_s: How long to wait while another client has the board, in seconds.
        on_wait: Called with the name of that client.

    Attributes:
        host: The board's host, for `open_driver`.
        folder: This run's own folder, for device nodes and for the lock of a guard.
        facts: The exporter's description of the board.
        wiring: The board's wiring, from the exporter's lab file and the board's settings.

    Raises:
        BoardBusyError: Another client kept the board.
        BoardLostError: The exporter went away.
    """

    def __init__(self, connection: ExporterConnection, wait_s: float, on_wait: Callable[[str], None]) -> None:
        self._connection = connection
        self.folder = Path(tempfile.mkdtemp(prefix="hil-remote-"))
        connection.on_close(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        dev = self.folder / "dev"
        for kind in ("serial", "disk"):
            (dev / kind / "by-id").mkdir(parents=True)
        self._disks = dev / "disk" / "by-id"
        self.wiring = Wiring()
        self._consoles: list[RemoteConsole] = []
        self._placeholder: Placeholder | None = None
        self._session = RemoteSession(connection, self._show_stick)
        connection.on_close(self._close)
        connection.on_lost.append(self._session.mark_lost)
        facts = self._session.start(wait_s, on_wait)
        self.facts = facts
        self.serial = str(facts["serial"])
        self._show_consoles(facts, dev / "serial" / "by-id")
        self.wiring = apply_wiring(self.wiring, facts["words"])
        backend = RemoteBackend(self._session)
        self.host = Host(
            label=f"{connection.label} ({facts['host']})",
            backend=lambda: backend,
            dev=dev,
            sys=self.folder / "sys",
            remote_stick=RemoteStick(connection),
        )

    def _show_consoles(self, facts: dict[str, Any], by_id: Path) -> None:
        """Make the node of the board's port, and of the DUT's own console if it has one."""
        uart = by_id / uart_name(self.serial)
        self._consoles.append(RemoteConsole(self._connection, "connect_board", uart))
        if not facts["console_is_board"]:
            own = by_id / Path(facts["console"]).name
            self._consoles.append(RemoteConsole(self._connection, "connect", own))
            self.wiring = Wiring(console=own, baud_rate=int(facts["baud_rate"]))

    def _show_stick(self, facts: dict[str, Any]) -> None:
        """Make or remove the node of the stick, as it appears or vanishes on the exporter's host."""
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        if facts:
            node = self._disks / Path(facts["name"]).name
            self._placeholder = Placeholder(node, self._connection.label, int(facts["size_bytes"]))

    def _close(self) -> None:
        self._session.close()
        self._show_stick({})
        for console in self._consoles:
            console.close()

    def note(self, test: str) -> None:
        """Tell the exporter which test uses the board."""
        self._session.note(test)

    def close(self) -> None:
        """Give the board back; the exporter makes it safe."""
        self._connection.close()
