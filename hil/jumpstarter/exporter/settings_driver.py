"""What the board keeps in its flash, for clients that have hil."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jumpstarter.driver import export

from hil.jumpstarter.exporter.base_driver import Part
from hil.jumpstarter.protocol.threads import done_by_hand

__all__ = ["SettingsDriver"]


@dataclass(kw_only=True)
class SettingsDriver(Part):
    """The six settings."""

    @classmethod
    def client(cls) -> str:
        """Name the client's class."""
        return "hil.jumpstarter.exporter.j_clients.SettingsClient"

    @export
    @done_by_hand
    def read(self) -> dict[str, str]:
        """Return all of them."""
        with self.tenant.board() as board:
            return asdict(board.settings.read())

    @export
    @done_by_hand
    def write(self, changes: dict[str, str]) -> dict[str, str]:
        """Store those that differ, and return all of them."""
        with self.tenant.board() as board:
            return asdict(board.settings.write(**changes))
