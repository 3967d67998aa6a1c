"""What the board keeps in its flash, for clients that have hil."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jumpstarter.driver import export

from hil.jumpstarter.exporter.base_driver import BoardDriver
from hil.jumpstarter.protocol.threads import in_thread

__all__ = ["SettingsDriver"]


@dataclass(kw_only=True)
class SettingsDriver(BoardDriver):
    """The six settings."""

    @classmethod
    def client(cls) -> str:
        """Name the client's class."""
        return "hil.jumpstarter.exporter.j_clients.SettingsClient"

    @export
    @in_thread
    def read(self) -> dict[str, str]:
        """Return all of them."""
        with self.tenant.board() as board:
            return asdict(board.settings.read())

    @export
    @in_thread
    def write(self, changes: dict[str, str]) -> dict[str, str]:
        """Store those that differ, and return all of them."""
        with self.tenant.board() as board:
            return asdict(board.settings.write(**changes))
