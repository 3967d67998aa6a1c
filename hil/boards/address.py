"""Parse the value of `--hil-boards`, `--boards` and `HIL_BOARDS`: where boards are."""

from __future__ import annotations

import enum
import importlib
import re
from typing import TYPE_CHECKING, NamedTuple, cast

from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.boards.remote_lab import RemoteLab

__all__ = ["BoardsOption", "Where", "parse_boards", "remote_lab"]

_LABS = {"jumpstarter": "hil.jumpstarter.client.lab"}
"""Beginning of the value: the module that fulfils `RemoteLab`. It is an extra above this package."""

LAST_PORT = 65535
_STARTED = r"sim:([1-9][0-9]?)(?:,speed=([1-9][0-9]?))?"


class Where(enum.Enum):
    """Where a run looks for its boards."""

    USB = "this host's USB"
    STARTED = "a simulator started for the run"
    RUNNING = "a simulator that runs already"
    JUMPSTARTER = "a Jumpstarter lab"
    NOWHERE = "nowhere"


class BoardsOption(NamedTuple):
    """The value of `--hil-boards`.

    Attributes:
        where: Where to look for boards.
        number: How many to start, or the management port of boards that run; else 0.
        text: The value.
        client: Alias or file of the Jumpstarter client's configuration; empty: what `jmp` would use.
        speed: Simulated seconds per real second, for boards to start.
    """

    where: Where
    number: int = 0
    text: str = "usb"
    client: str = ""
    speed: int = 1

    @property
    def simulated(self) -> bool:
        """Whether hardware tests run on simulated boards."""
        return self.where in {Where.STARTED, Where.RUNNING}


def parse_boards(text: str, client: str = "", *, option: str = "--hil-boards") -> BoardsOption:
    """Read a value of `--hil-boards`.

    Args:
        text: The value.
        client: The value of `--hil-client`.
        option: The option that had the value; `--boards` cannot start boards.

    Raises:
        UsageError: The value is not understood, or it needs an extra that is not installed.
    """
    lab = remote_lab(text)
    if lab is not None:
        lab.check_target(text, client)
        return BoardsOption(Where.JUMPSTARTER, text=text, client=client)
    plain = {"usb": Where.USB, "none": Where.NOWHERE}
    if text in plain:
        return BoardsOption(plain[text], text=text)
    digits = text.removeprefix("sim@")
    if text.startswith("sim@") and digits.isascii() and digits.isdigit() and 1 <= int(digits) <= LAST_PORT:
        return BoardsOption(Where.RUNNING, int(digits), text)
    if started := re.fullmatch(_STARTED, text):
        return BoardsOption(Where.STARTED, int(started[1]), text, speed=int(started[2] or 1))
    if option == "--boards":
        what, why = f"--boards {text!r} (or HIL_BOARDS) is not understood", "it is usb, or sim@PORT"
        raise UsageError(what, why=why, remedy="sim@PORT with the control_port that hil sim prints")
    raise UsageError(
        f"{option} {text!r} is not understood",
        why="it is usb, sim:N or sim:N,speed=F with N and F from 1 to 99, sim@PORT, jumpstarter:SELECTOR, "
        "jumpstarter+direct://HOST:PORT, or none",
        remedy=f"{option} sim:2 (or HIL_BOARDS=sim:2) for two simulated boards",
    )


def remote_lab(text: str) -> RemoteLab | None:
    """Return the lab that a value of `--hil-boards` names, or None if it names boards of this machine."""
    module = next((module for word, module in _LABS.items() if text.startswith(word)), None)
    return None if module is None else cast("RemoteLab", importlib.import_module(module))
