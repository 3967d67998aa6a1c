"""`hil udev`: the udev rule that lets people use boards without being root."""

from __future__ import annotations

from importlib import resources

import click

__all__ = ["udev"]


@click.command()
def udev() -> str:
    """Print the udev rule for DUTLink boards.

    Install it with: hil udev | sudo tee /etc/udev/rules.d/60-dutlink.rules
    """
    return resources.files("hil").joinpath("data/60-dutlink.rules").read_text("utf-8").rstrip("\n")
