"""A system's files below a folder: this machine's own, or those of an image that is being built.

For an image its own users and groups count, and its links are resolved below its root folder.
"""

from __future__ import annotations

import grp
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from hil.lab.files.trusted_path import first_foreign_owner, walk_path
from hil.login_name import login_name
from hil.regular_file import read_regular

__all__ = ["SystemRoot"]

_LOCKS: Final = "HIL_LOCK_DIR="


class SystemRoot:
    """The files of a system.

    Args:
        root: Its root folder.

    Attributes:
        path: Its root folder.
        is_this_machine: Whether it is the running system.
    """

    def __init__(self, root: Path) -> None:
        self.path = root
        self.is_this_machine = root.samefile("/")

    def has_group(self, name: str) -> bool:
        """Return True if the system has a group of that name."""
        if not self.is_this_machine:
            return any(line.split(":")[0] == name for line in self._lines("etc/group"))
        with suppress(KeyError):
            return bool(grp.getgrnam(name))
        return False

    def has_file(self, path: Path) -> bool:
        """Return True if there is a file at an absolute path of the system."""
        with suppress(OSError):
            return self._find(path).is_file()
        return False

    def owner_of(self, path: Path) -> str:
        """Return the first user except root who owns a part of a path, or an empty string if there is none.

        Args:
            path: An absolute path of the system.
        """
        if self.is_this_machine:
            owner = first_foreign_owner(path)
            return self._user(owner) if owner else ""
        with suppress(OSError):  # the path does not exist
            for part, facts in walk_path(path, self.path):
                if facts.st_uid and part != self.path:  # the user who builds an image may own its root folder
                    return self._user(facts.st_uid)
        return ""

    @property
    def lock_folder(self) -> str:
        """The lock folder that commands use on that system; empty for the usual one."""
        if self.is_this_machine:
            return os.environ.get("HIL_LOCK_DIR", "")
        lines = map(str.strip, self._lines("etc/environment"))
        found = [line.removeprefix(_LOCKS).strip("\"'") for line in lines if line.startswith(_LOCKS)]
        return "".join(found[-1:])

    def _user(self, uid: int) -> str:
        if not self.is_this_machine:
            entries = (line.split(":") for line in self._lines("etc/passwd"))
            return next((entry[0] for entry in entries if entry[2:3] == [str(uid)]), str(uid))
        return login_name(uid) or str(uid)

    def _lines(self, name: str) -> list[str]:
        """Return the lines of a file of the image."""
        with suppress(OSError):
            return read_regular(self._find(Path("/", name))).decode(errors="replace").splitlines()
        return []

    def _find(self, path: Path) -> Path:
        """Return the file that an absolute path of the image leads to; raise OSError if there is none."""
        *_, (found, _) = walk_path(path, self.path)
        return found
