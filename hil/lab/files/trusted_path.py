"""Which users besides root and this one decide what a path leads to; root obeys no file that others decide.

A file is decided by its owner, by users who may write to it, and by the same two for each folder and each
link on the way to it: whoever may rename a folder may put another in its place.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from hil.dutlink.console.sanitize import sanitize_line
from hil.errors import UntrustedFileError
from hil.lab.locks.lock_dir import is_unmapped_owner
from hil.lab.locks.spoilt_file import owner_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "first_foreign_owner",
    "refuse_foreign_folder",
    "refuse_untrusted",
    "walk_path",
    "why_untrusted",
    "why_untrusted_by_root",
]

_Way: TypeAlias = list[tuple[Path, os.stat_result]]

_MOST_LINKS: Final = 40  # as the kernel: path_resolution(7)


def refuse_untrusted(path: Path, what: str, instead: str) -> None:
    """Refuse a path that other users decide, if this process is root's.

    Args:
        path: It need not be there.
        what: What root would obey, as the error calls it.
        instead: What to type instead.

    Raises:
        UntrustedFileError: This process is root's, and another user decides what is there.
    """
    if os.geteuid() == 0 and (why := why_untrusted(path)):
        refused = f"{what} {sanitize_line(str(path))} is refused, because this is root"
        raise UntrustedFileError(refused, why=why, remedy=instead)


def refuse_foreign_folder(folder: Path, project: Path, option: str) -> None:
    """Refuse to keep results where another user prepared a folder or link, if this process is root's.

    Root obeys the owner of `project`, whose tests it runs. Modes do not count: CI services clone with any.

    Raises:
        UntrustedFileError: This process is root's, and a third user owns something on the way to `folder`.
    """
    if os.geteuid() == 0 and (owned := _third_owner(_way_to(folder), {0, project.stat().st_uid})):
        what = f"{option} {sanitize_line(str(folder))} is refused, because this is root"
        raise UntrustedFileError(what, why=_owned(*owned), remedy="name a folder of root's")


def first_foreign_owner(path: Path) -> int:
    """Return the first user but root who owns a file, or a folder or link on the way to it; else 0."""
    owned = _third_owner(_way_to(path), {0})
    return owned[1] if owned else 0


def _third_owner(way: _Way, known: set[int]) -> tuple[Path, int] | None:
    owners = ((part, facts.st_uid) for part, facts in way)
    return next(
        ((part, uid) for part, uid in owners if uid not in known and not is_unmapped_owner(uid)), None
    )


def _owned(part: Path, owner: int) -> str:
    return f"{sanitize_line(str(part))} belongs to {owner_name(owner)}"


def why_untrusted(path: Path) -> str:
    """Return who else than root and this user decides what is at a path; empty if nobody does."""
    return _decided(path, {0, os.geteuid()}, os.getegid())


def why_untrusted_by_root(path: Path) -> str:
    """Return who else than root decides what is at a path; empty if nobody does."""
    return _decided(path, {0}, 0)


def _decided(path: Path, known: set[int], own_group: int) -> str:
    way = _way_to(path)
    if owned := _third_owner(way, known):
        return _owned(*owned)
    for part, facts in way:
        if _others_write(facts, own_group):
            mode = f"{stat.S_IMODE(facts.st_mode):04o}"
            return f"{sanitize_line(str(part))} may be written by others (mode {mode})"
    return ""


def _others_write(facts: os.stat_result, own_group: int) -> bool:
    """Return True if others may change a file, or swap what is in a folder."""
    if stat.S_ISLNK(facts.st_mode) or (stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX):
        return False
    is_own_group = facts.st_gid == own_group  # a user's private group, as many systems make them
    return bool(facts.st_mode & (stat.S_IWOTH if is_own_group else stat.S_IWGRP | stat.S_IWOTH))


def _way_to(path: Path) -> _Way:
    """Return each folder, link, and file on the way; where nothing is there, those above it."""
    way: _Way = []
    with suppress(OSError):
        way.extend(walk_path(path))
    return way


def walk_path(path: Path, root: Path = Path("/")) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each folder, link, and file on the way to a path, as the kernel goes it.

    Args:
        path: The path, as a process has it whose root folder is `root`.
        root: Where the way begins; no link leads out of it.

    Raises:
        OSError: The way ends early, or has more links than the kernel follows.
    """
    here, links = root, 0
    todo = deque(path.absolute().parts)
    while todo:
        part = todo.popleft()
        if part == "..":
            here = root if here == root else here.parent
            continue
        here = root if part == "/" else here / part
        facts = here.lstat()
        yield here, facts
        if stat.S_ISLNK(facts.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            todo.extendleft(reversed(here.readlink().parts))
            here = here.parent
