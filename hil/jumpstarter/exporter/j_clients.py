"""Client classes of the drivers that no stock client fits, with their commands for Jumpstarter's `j`.

Exporters send the paths of these classes to their clients, so module and class names stay as they are.
"""

from __future__ import annotations

from typing import Any

import click
from jumpstarter.client import DriverClient
from jumpstarter.client.decorators import driver_click_group

from hil.dutlink.usb.protocol import Level, Pin

__all__ = ["BoardClient", "PinsClient", "SettingsClient"]


class PinsClient(DriverClient):
    """Client of the control pins."""

    def set(self, pin: str, level: str) -> None:
        """Drive a pin `low` or `high`, or leave it `floating`."""
        self.call("set", pin, level)

    def pulse_reset(self, duration_s: float = 0.1) -> None:
        """Drive the reset pin low for `duration_s` seconds."""
        self.call("pulse_reset", duration_s)

    def float_all(self) -> None:
        """Leave every pin floating."""
        self.call("float_all")

    def cli(self) -> click.Group:
        """Return the commands of `j ... pins`."""

        @driver_click_group(self)
        def base() -> None:
            """Control pins of the DUT."""

        @base.command("set")
        @click.argument("pin", type=click.Choice([str(pin) for pin in Pin]))
        @click.argument("level", type=click.Choice([str(level) for level in Level]))
        def _set(pin: str, level: str) -> None:
            """Drive PIN to LEVEL."""
            self.set(pin, level)

        @base.command("reset")
        def _reset() -> None:
            """Pulse the reset pin."""
            self.pulse_reset()

        @base.command("float")
        def _float() -> None:
            """Leave every pin floating."""
            self.float_all()

        group: click.Group = base
        return group


class SettingsClient(DriverClient):
    """Client of the settings in the board's flash."""

    def read(self) -> dict[str, str]:
        """Return all settings."""
        answer: dict[str, str] = self.call("read")
        return answer

    def write(self, **changes: str) -> dict[str, str]:
        """Store the settings that differ; return all settings."""
        answer: dict[str, str] = self.call("write", changes)
        return answer

    def cli(self) -> click.Group:
        """Return the commands of `j ... settings`."""

        @driver_click_group(self)
        def base() -> None:
            """Settings that the board stores."""

        @base.command("read")
        def _read() -> None:
            """Print all settings."""
            for key, value in self.read().items():
                click.echo(f"{key}: {value}")

        @base.command("write")
        @click.argument("key")
        @click.argument("value")
        def _write(key: str, value: str) -> None:
            """Store VALUE as the setting KEY."""
            self.write(**{key: value})

        group: click.Group = base
        return group


class BoardClient(DriverClient):
    """Client of the whole board: its description, safe state and supply, and a run's streams."""

    def describe(self) -> dict[str, Any]:
        """Return serial number, firmware, host, name, tags and console of the board."""
        facts: dict[str, Any] = self.call("describe")
        return facts

    def make_safe(self) -> None:
        """Force the supply off, detach the stick, float all pins."""
        self.call("make_safe")

    def force_on(self) -> None:
        """Switch the supply on at once."""
        self.call("force_on")

    def force_off(self) -> None:
        """Switch the supply off at once."""
        self.call("force_off")

    def cli(self) -> click.Group:
        """Return the commands of `j ... board`."""

        @driver_click_group(self)
        def base() -> None:
            """The board itself."""

        @base.command("describe")
        def _describe() -> None:
            """Print serial number, firmware, host, name, tags and console."""
            for key, value in self.describe().items():
                click.echo(f"{key}: {value}")

        commands = {"safe": self.make_safe, "force-on": self.force_on, "force-off": self.force_off}
        for name, act in commands.items():
            base.command(name, help=act.__doc__)(act)
        group: click.Group = base
        return group
