"""`hil udev`: the udev rule that lets people use boards without being root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hil.cli.result import Answer
from hil.errors import UsageError

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
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="With --root: the image's interpreter that has hil, or will have it. Default: this one's path.",
)
def udev(install: bool, root: Path, python: Path | None) -> Any:  # noqa: ANN401 - as every verb
    r"""Print or install the udev rule for DUTLink boards.

    It lets the group plugdev, which --install makes if need be, and whoever sits at the machine open boards,
    and keeps ModemManager away from their consoles. It opens sticks too: the USB sockets where they were seen
    to follow their boards' muxes, by `hil enroll` or `hil storage learn`, and no other disk. After a cable
    was moved, do both again.

    Where systemd is, --install also writes a unit that makes a board safe when it comes back after its run
    died: `hil safe --if-unsafe SERIAL`, which the rule starts when a board is plugged in.

    \b
    hil udev
    sudo "$(command -v hil)" udev --install

    With --root IMAGE, owners, groups, the interpreter and HIL_LOCK_DIR (in etc/environment) are the image's.

    Exit status: 0 done, 2 misuse, which includes not being root.
    """
    if python is not None and (not python.is_absolute() or not install or root.samefile("/")):
        raise UsageError(
            f"--python {python} is of no use here",
            why="it names an absolute path in an image",
            remedy="hil udev --install --root IMAGE --python /usr/bin/python3",
        )
    from hil.lab.udev.rule import install_rule, known_sticks, rule_text  # noqa: PLC0415 - for who asks

    sticks = known_sticks() if root.samefile("/") else []
    if not install:
        return rule_text(sticks).rstrip("\n")
    done = install_rule(root, sticks, python)
    facts = {
        "installed": str(done.rule),
        "unit": str(done.unit or ""),
        "group": "plugdev, made now" if done.made_group else "",
        "sticks": ", ".join(map(str, sticks)) or "none known yet: hil enroll, then this again",
        "applied": not done.problem,
        "why": done.problem,
    }
    data = {name: fact for name, fact in facts.items() if fact != ""}
    lines = [
        f"Installed {done.rule}" + (f" and {done.unit}." if done.unit else "."),
        "Made the group plugdev." if done.made_group else "",
        f"Sticks that it opens: {facts['sticks']}.",
        f"udev has not applied it: {done.problem}" if done.problem else "udev has applied it.",
    ]
    return Answer(data, text="\n".join(filter(None, lines)))
