"""Refuse files that other users control: root must not obey a file that another user may change.

A file is controlled by its owner and by the users who may write to it. The same is true of each folder and
link on its path: a user who may rename a folder may replace it by another.
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
from hil.lab.locks.lock_dir import is_unmapped_owner, owner_name

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

_Parts: TypeAlias = list[tuple[Path, os.stat_result]]

_MOST_LINKS: Final = 40  # as the kernel: path_resolution(7)


def refuse_untrusted(path: Path, what: str, instead: str) -> None:
    """Refuse a path that other users control, if this process is root's.

    Args:
        path: A path; the file need not exist.
        what: What root would obey, for the error message.
        instead: What to type instead.

    Raises:
        UntrustedFileError: This process is root's, and another user controls the path.
    """
    if os.geteuid() == 0 and (why := why_untrusted(path)):
        refused = f"{what} {sanitize_line(str(path))} is refused, because this is root"
        raise UntrustedFileError(refused, why=why, remedy=instead)


def refuse_foreign_folder(folder: Path, project: Path, option: str) -> None:
    """Refuse to keep results in a folder that another user prepared, if this process is root's.

    Root trusts the owner of `project`, whose tests it runs. Modes are ignored, because CI services clone
    projects with any mode.

    Raises:
        UntrustedFileError: This process is root's, and a third user owns a part of the path of `folder`.
    """
    if os.geteuid() == 0 and (owned := _third_owner(_parts_of(folder), {0, project.stat().st_uid})):
        what = f"{option} {sanitize_line(str(folder))} is refused, because this is root"
        raise UntrustedFileError(what, why=_owned(*owned), remedy="name a folder of root's")


def first_foreign_owner(path: Path) -> int:
    """Return the first uid except root's that owns a file, or a folder or link on its path; else 0."""
    owned = _third_owner(_parts_of(path), {0})
    return owned[1] if owned else 0


def _third_owner(parts: _Parts, known: set[int]) -> tuple[Path, int] | None:
    owners = ((part, facts.st_uid) for part, facts in parts)
    return next(
        ((part, uid) for part, uid in owners if uid not in known and not is_unmapped_owner(uid)), None
    )


def _owned(part: Path, owner: int) -> str:
    return f"{sanitize_line(str(part))} belongs to {owner_name(owner)}"


def why_untrusted(path: Path) -> str:
    """Return which user besides root and this user controls a path, as a sentence; empty if none does."""
    return _controlled_by(path, {0, os.geteuid()}, os.getegid())


def why_untrusted_by_root(path: Path) -> str:
    """Return which user besides root controls a path, as a sentence; empty if none does."""
    return _controlled_by(path, {0}, 0)


def _controlled_by(path: Path, known: set[int], own_group: int) -> str:
    parts = _parts_of(path)
    if owned := _third_owner(parts, known):
        return _owned(*owned)
    for part, facts in parts:
        if _others_write(facts, own_group):
            mode = f"{stat.S_IMODE(facts.st_mode):04o}"
            return f"{sanitize_line(str(part))} may be written by others (mode {mode})"
    return ""


def _others_write(facts: os.stat_result, own_group: int) -> bool:
    """Return True if other users may change a file, or replace the files in a folder."""
    if stat.S_ISLNK(facts.st_mode) or (stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX):
        return False
    is_own_group = facts.st_gid == own_group  # a user's private group, as many systems make them
    return bool(facts.st_mode & (stat.S_IWOTH if is_own_group else stat.S_IWGRP | stat.S_IWOTH))


def _parts_of(path: Path) -> _Parts:
    """Return each folder and link on a path, and the file, as far as they exist."""
    parts: _Parts = []
    with suppress(OSError):
        parts.extend(walk_path(path))
    return parts


def walk_path(path: Path, root: Path = Path("/")) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each folder and link on a path, and the file, in the order in which the kernel resolves them.

    Args:
        path: The path, as a process with the root folder `root` would name it.
        root: The root folder; no link leads out of it.

    Raises:
        OSError: The path does not exist, or has more links than the kernel follows.
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
