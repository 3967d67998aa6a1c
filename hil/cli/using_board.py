"""A board that a command uses: found, leased, opened; left afterwards as the command left it.

There is no guard: a person who says `hil power on` wants the DUT to stay on. The next test run makes it safe.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.board import open_board
from hil.dutlink.discovery import list_boards
from hil.errors import BoardAbsentError, BoardBusyError, UsageError
from hil.lab.lab_file import find_lab
from hil.lab.lease import hold
from hil.suite.hosts import Hosts
from hil.suite.options import Where, parse_boards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.cli.one_board import Asked
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.lab.lab import Lab
    from hil.lab.lease import Waiting

__all__ = ["host_of", "hosts_of", "lab_here", "using"]


def host_of(boards: str) -> Host:
    """Return the host whose boards a command uses; raises what `hosts_of` raises."""
    return hosts_of(boards).chosen()


def hosts_of(boards: str) -> Hosts:
    """Return the same as the choice it is, for those who tell another process where boards are.

    Raises:
        UsageError: `boards` is no place where boards already are.
    """
    option = parse_boards(boards)
    if option.where is Where.STARTED:
        raise UsageError(
            f"--boards {boards} would start boards of its own",
            why="they would end with this command",
            remedy="hil sim --boards 2, then --boards sim@PORT with its control_port",
        )
    return Hosts(option)


def lab_here() -> Lab:
    """Read the lab file that counts where the command was typed.

    Raises:
        UsageError: It is wrong.
    """
    return find_lab(None, Path.cwd())


@contextmanager
def using(asked: Asked, what: str) -> Iterator[Board]:
    """Hold a board and open it, for a `with` block.

    Args:
        asked: Which.
        what: What it is held for, for others to read: the command.

    Raises:
        UnavailableError: It is not there, may not be opened, or stayed in use.
        UsageError: There are several, and none was named.
    """
    host = host_of(asked.boards)
    lab = lab_here()
    serial = lab.serial_of(asked.serial) if asked.serial else _only(host)
    try:
        lease = hold(serial, wait_s=asked.wait_s, test=what, on_wait=_tell)
    except BoardBusyError as error:
        remedy = "wait longer (--wait SECONDS), or ask them to end that run"
        raise BoardBusyError(error.what, why=error.why, remedy=remedy, serial=serial) from error
    with lease, open_board(host, serial, lab.wiring_of(serial), console=False) as board:
        yield board


def _only(host: Host) -> str:
    serials = [sighting.serial for sighting in list_boards(host) if sighting.serial]
    if len(serials) > 1:
        raise UsageError(
            f"{len(serials)} boards are there, and none was named",
            why=f"they are {', '.join(serials)}",
            remedy=f"--board {serials[0]}, or HIL_BOARD={serials[0]}",
        )
    if not serials:
        raise BoardAbsentError(
            f"{host.label} has no DUTLink board",
            why="nothing that says its serial number is on the bus",
            remedy="plug one in, or check its cable; hil boards shows what is seen",
        )
    return serials[0]


def _tell(waiting: Waiting) -> None:
    sys.stderr.write(f"hil: waiting: {waiting}\n")
