"""Driver of the settings in the board's flash for clients that have hil."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jumpstarter.driver import export

from hil.jumpstarter.exporter.base_driver import BoardDriver
from hil.jumpstarter.protocol.client_classes import SETTINGS_CLIENT
from hil.jumpstarter.protocol.threads import in_thread

__all__ = ["SettingsDriver"]


@dataclass(kw_only=True)
class SettingsDriver(BoardDriver):
    """The six settings that the board stores."""

    @classmethod
    def client(cls) -> str:
        """Return the path of the client class."""
        return SETTINGS_CLIENT

    @export
    @in_thread
    def read(self) -> dict[str, str]:
        """Return all settings."""
        with self.tenant.board() as board:
            return asdict(board.settings.read())

    @export
    @in_thread
    def write(self, changes: dict[str, str]) -> dict[str, str]:
        """Store the settings that differ; return all settings."""
        with self.tenant.board() as board:
            return asdict(board.settings.write(**changes))
