"""Check that a running simulator belongs to this user.

Another user's simulator could name any file as its stick.

Linux lists the user of each listening socket in /proc/net/tcp (proc(5)), which no process can forge.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["TOKEN_NAME", "check_folders", "check_owner", "read_token"]

TOKEN_NAME = "hil-token"  # noqa: S105 - the name of a file
"""File in the state folder with the management port's token. Only the simulator's user may read it."""

_SOCKETS = ("/proc/net/tcp", "/proc/net/tcp6")
_LINE_BYTES = 150
"""Length of a line of /proc/net/tcp. For a longer read, the kernel searches its tables for more sockets."""

_LOOPBACK = frozenset({b"0100007F", b"7F000001"})
"""127.0.0.1 in /proc/net/tcp, on processors of either byte order."""

_LISTENS = b"0A"
_LOCAL, _STATE, _USER = 1, 3, 7
_ROOT = 0


def check_owner(port: int) -> None:
    """Raise if another user's process listens at a loopback port of this host. Root is trusted.

    Raises:
        SimulatorError: The process belongs to another user.
    """
    others = _owners(port) - {os.geteuid(), _ROOT}
    if others:
        raise SimulatorError(
            f"the simulator at management port {port} belongs to another user (uid {min(others)})",
            why="it could make this process write to any of your files as its stick",
            remedy="start your own simulator with `hil sim`, and use its control_port",
        )


def check_folders(ready: Mapping[str, Any]) -> None:
    """Raise if a folder of a simulator belongs to another user, or if other users may write to it.

    Raises:
        SimulatorError: A folder belongs neither to this user nor to root, or others may write to it.
    """
    for name in ("dev", "sys", "state"):
        folder = Path(str(ready.get(name, "")))
        try:
            status = folder.stat()
        except PermissionError:
            continue  # closed to this user, so no file in it can be opened either
        except OSError as error:
            raise _refused(folder, f"its owner cannot be read: {error.strerror}") from error
        if status.st_uid not in (os.geteuid(), _ROOT):
            raise _refused(folder, f"it belongs to another user (uid {status.st_uid})")
        groups_own = status.st_gid == os.getegid()  # on many systems each user has a private group
        if status.st_mode & (stat.S_IWOTH if groups_own else stat.S_IWGRP | stat.S_IWOTH):
            raise _refused(folder, "other users may write to it")


def read_token(ready: Mapping[str, Any]) -> str:
    """Return the token from the simulator's state folder.

    Raises:
        SimulatorError: The token file does not exist, or this user may not read it.
    """
    path = Path(str(ready.get("state", ""))) / TOKEN_NAME
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SimulatorError(
            f"the token of the simulator at management port {ready.get('control_port')} cannot be read",
            why=str(error),
            remedy="only its own user can read states and inject faults; start your own with `hil sim`",
        ) from error


def _owners(port: int) -> set[int]:
    """Return the users of the sockets that a connection to 127.0.0.1 can reach; empty if not on Linux."""
    any_address = set()
    for fields in _listening():
        address, _, number = fields[_LOCAL].partition(b":")
        if int(number, 16) == port and address in _LOOPBACK:
            return {int(fields[_USER])}  # the kernel prefers the socket with the exact address
        if int(number, 16) == port and not address.strip(b"0"):
            any_address.add(int(fields[_USER]))
    return any_address


def _listening() -> Iterator[list[bytes]]:
    for name in _SOCKETS:
        with suppress(OSError), open(name, "rb", buffering=_LINE_BYTES) as file:  # noqa: PTH123 - buffered by lines
            next(file, None)
            yield from (fields for line in file if (fields := line.split())[_STATE] == _LISTENS)


def _refused(folder: Path, why: str) -> SimulatorError:
    return SimulatorError(
        f"the simulator's folder {folder} is not trusted",
        why=why,
        remedy="start your own simulator; with --state, name a folder that only you can write to",
    )
