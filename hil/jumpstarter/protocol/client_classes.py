"""Import paths of our Jumpstarter client classes: an exporter sends the path of each driver's class."""

from __future__ import annotations

from typing import Final

__all__ = ["ALLOWED_CLIENTS", "BOARD_CLIENT", "BOARD_CLIENTS", "PINS_CLIENT", "SETTINGS_CLIENT"]

_MODULE: Final = "hil.jumpstarter.exporter.j_clients"
BOARD_CLIENT: Final = f"{_MODULE}.BoardClient"
BOARD_CLIENTS: Final = (BOARD_CLIENT, "hil.jumpstarter.clients.BoardClient")
"""The second is sent by exporters with a hil from before its modules moved; it goes in 0.2."""

PINS_CLIENT: Final = f"{_MODULE}.PinsClient"
SETTINGS_CLIENT: Final = f"{_MODULE}.SettingsClient"

ALLOWED_CLIENTS: Final = ["hil.jumpstarter.*", "jumpstarter_driver_*"]
"""Patterns of the client classes that a run imports at an exporter's word; it refuses all others."""
