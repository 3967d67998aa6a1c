"""`hil udev`: the udev rule that lets users open boards without root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hil.cli.result import Answer
from hil.errors import UsageError

__all__ = ["udev"]


@click.command()
@click.option("--install", is_flag=True, help="Install the rule and let udev apply it; needs root.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/"),
    show_default=True,
    help="With --install: root folder of a system image.",
)
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="With --root: path in the image of the interpreter with hil. Default: the path of this one.",
)
def udev(install: bool, root: Path, python: Path | None) -> Any:  # noqa: ANN401 - data of any kind
    r"""Print or install the udev rule for DUTLink boards.

    The rule lets the group plugdev (created by --install if missing) and the user logged in at the machine
    open boards, and keeps ModemManager away from their consoles. It also opens sticks, at the USB ports that
    `hil enroll` or `hil storage learn` found, but no other disk. After a cable was moved, repeat both.

    With systemd, --install also writes a unit, which the rule starts when a board is plugged in: it makes a
    board safe that comes back after its run died (`hil safe --if-unsafe SERIAL`).

    \b
    hil udev
    sudo "$(command -v hil)" udev --install

    With --root IMAGE, owners, groups, the interpreter and HIL_LOCK_DIR (in etc/environment) are the image's.

    Exit status: 0 done, 2 misuse, which includes not being root.
    """
    if python is not None and (not python.is_absolute() or not install or root.samefile("/")):
        raise UsageError(
            f"--python {python} has no effect here",
            why="it names an absolute path in an image",
            remedy="hil udev --install --root IMAGE --python /usr/bin/python3",
        )
    from hil.lab.udev.rule import install_rule, known_sticks, rule_text  # noqa: PLC0415 - imported on use

    sticks = known_sticks() if root.samefile("/") else []
    if not install:
        return rule_text(sticks).rstrip("\n")
    done = install_rule(root, sticks, python)
    facts = {
        "installed": str(done.rule),
        "unit": str(done.unit or ""),
        "group": "plugdev, made now" if done.made_group else "",
        "sticks": ", ".join(map(str, sticks)) or "none known yet: hil enroll, then repeat this",
        "applied": not done.problem,
        "why": done.problem,
    }
    data = {name: fact for name, fact in facts.items() if fact != ""}
    lines = [
        f"Installed {done.rule}" + (f" and {done.unit}." if done.unit else "."),
        "Created the group plugdev." if done.made_group else "",
        f"Sticks that it opens: {facts['sticks']}.",
        f"udev has not applied it: {done.problem}" if done.problem else "udev has applied it.",
    ]
    return Answer(data, text="\n".join(filter(None, lines)))
