"""`hil udev`: the udev rule that lets people use boards without being root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["udev"]


@click.command()
@click.option("--install", is_flag=True, help="Install it and have udev apply it; for root.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/"),
    show_default=True,
    help="With --install: of the machine, for images that are being built.",
)
def udev(install: bool, root: Path) -> Any:  # noqa: ANN401 - as every verb
    r"""Print or install the udev rule for DUTLink boards.

    It lets the group plugdev, and whoever sits at the machine, open boards, and keeps ModemManager away from
    their consoles. Where systemd is, --install also writes a unit that makes a board safe when it comes back
    after its run died: `hil safe --if-unsafe SERIAL`, which the rule starts when a board is plugged in.

    \b
    hil udev
    sudo "$(command -v hil)" udev --install

    Exit status: 0 done, 2 misuse, which includes not being root.
    """
    from hil.lab.udev_rule import install_rule, rule_text  # noqa: PLC0415 - subprocess is for who installs

    if not install:
        return rule_text().rstrip("\n")
    (file, *unit), problem = install_rule(root)
    more = {"unit": str(unit[0])} if unit else {}
    return {"installed": str(file), **more, "applied": not problem, **({"why": problem} if problem else {})}
