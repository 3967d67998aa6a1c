"""What Jumpstarter's `j` offers for our drivers that have no stock client."""

from __future__ import annotations

from typing import Any

import click
from jumpstarter.client import DriverClient
from jumpstarter.client.decorators import driver_click_group

from hil.dutlink.pin_names import Level, Pin

__all__ = ["BoardClient", "PinsClient", "SettingsClient"]


class PinsClient(DriverClient):
    """The control pins."""

    def set(self, pin: str, level: str) -> None:
        """Drive a pin `low` or `high`, or leave it `floating`."""
        self.call("set", pin, level)

    def pulse_reset(self, duration_s: float = 0.1) -> None:
        """Hold the reset pin low for that many seconds."""
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
            """Drive PIN."""
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
    """What the board keeps in its flash."""

    def read(self) -> dict[str, str]:
        """Return all settings."""
        answer: dict[str, str] = self.call("read")
        return answer

    def write(self, **changes: str) -> dict[str, str]:
        """Store those that differ, and return all of them."""
        answer: dict[str, str] = self.call("write", changes)
        return answer

    def cli(self) -> click.Group:
        """Return the commands of `j ... settings`."""

        @driver_click_group(self)
        def base() -> None:
            """Settings that the board keeps."""

        @base.command("read")
        def _read() -> None:
            """Print them."""
            for key, value in self.read().items():
                click.echo(f"{key}: {value}")

        @base.command("write")
        @click.argument("key")
        @click.argument("value")
        def _write(key: str, value: str) -> None:
            """Store one."""
            self.write(**{key: value})

        group: click.Group = base
        return group


class BoardClient(DriverClient):
    """The board itself: facts, its safe state; a run's stream goes through it."""

    def describe(self) -> dict[str, Any]:
        """Return what it is."""
        facts: dict[str, Any] = self.call("describe")
        return facts

    def make_safe(self) -> None:
        """Force the supply off, take the stick from everybody, leave all pins floating."""
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
            """Print what it is."""
            for key, value in self.describe().items():
                click.echo(f"{key}: {value}")

        commands = {"safe": self.make_safe, "force-on": self.force_on, "force-off": self.force_off}
        for name, act in commands.items():
            base.command(name, help=act.__doc__)(act)
        group: click.Group = base
        return group
