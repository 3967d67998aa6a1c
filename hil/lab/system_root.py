"""A system's files below a folder: this machine's own, or those of an image that is being built.

Below an image's folder its own users and groups count, and links lead where they will lead once it runs.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.lab.trusted_path import owner_on_the_way
from hil.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SystemRoot"]

_MOST_LINKS: Final = 40  # as the kernel: path_resolution(7)
_LOCKS: Final = "HIL_LOCK_DIR="


class SystemRoot:
    """The files of a system.

    Args:
        root: Its root folder.

    Attributes:
        path: The same.
        is_this_machine: Whether it is that of the running system.
    """

    def __init__(self, root: Path) -> None:
        self.path = root
        self.is_this_machine = root.samefile("/")

    def has_group(self, name: str) -> bool:
        """Return True if the system has a group of that name."""
        if not self.is_this_machine:
            return any(line[0] == name for line in self._lines("etc/group"))
        with suppress(KeyError):
            return bool(grp.getgrnam(name))
        return False

    def has_file(self, path: Path) -> bool:
        """Return True if there is a file at an absolute path of the system."""
        with suppress(OSError):
            return self._find(path).is_file()
        return False

    def owner_of(self, path: Path) -> str:
        """Return the first user but root who owns a file, or a folder or link on the way to it; else empty.

        Args:
            path: An absolute path of the system.
        """
        if self.is_this_machine:
            owner = owner_on_the_way(path)
            return self._user(owner) if owner else ""
        with suppress(OSError):  # the way ends
            for part in self._parts(path):
                if owner := part.lstat().st_uid:
                    return self._user(owner)
        return ""

    @property
    def lock_folder(self) -> str:
        """The folder of locks that commands there use; empty for the usual one."""
        if self.is_this_machine:
            return os.environ.get("HIL_LOCK_DIR", "")
        lines = (":".join(line).strip() for line in self._lines("etc/environment"))
        found = [line.removeprefix(_LOCKS).strip("\"'") for line in lines if line.startswith(_LOCKS)]
        return "".join(found[-1:])

    def _user(self, uid: int) -> str:
        if not self.is_this_machine:
            names = (line[0] for line in self._lines("etc/passwd") if line[2:3] == [str(uid)])
            return next(names, str(uid))
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)

    def _lines(self, name: str) -> list[list[str]]:
        """Return the lines of a file of the image, split at colons."""
        with suppress(OSError):
            text = read_regular(self._find(Path("/", name))).decode(errors="replace")
            return [line.split(":") for line in text.splitlines()]
        return []

    def _find(self, path: Path) -> Path:
        """Return where an absolute path of the image leads, below the root; OSError where it ends."""
        return [self.path, *self._parts(path)][-1]

    def _parts(self, path: Path) -> Iterator[Path]:
        """Yield each folder, link and file on the way, below the root; OSError where the way ends."""
        here, links = self.path, 0
        todo = deque(path.parts[1:])
        while todo:
            part = todo.popleft()
            if part == "..":
                here = here.parent if here != self.path else here
                continue
            here /= part
            is_link = stat.S_ISLNK(here.lstat().st_mode)
            yield here
            if is_link:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                target = here.readlink()
                here = self.path if target.is_absolute() else here.parent
                todo.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
