"""What is known of each board's stick, kept in the lock folder: files for each board and user.

Where it comes, and whether it may boot an image that nobody has proven, since the flash was interrupted.

Every user may write a board's record, but a word that decides which disk is overwritten must not come from
another user. So it has a file of its own, and is believed only from a file that belongs to this user, or to
root, and that nobody else may write. Other users' files only say which sockets to keep away from, and what
is not proven: the newest word counts.
"""

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from hil.dutlink.console.sanitize import sanitize_line
from hil.dutlink.storage.usb_sockets import Learned, OwnMemory, StickNames, is_usb_place
from hil.errors import HilError
from hil.lab.files.atomic_file import write_atomically
from hil.lab.locks.lock_dir import lock_folder

__all__ = ["StickSockets", "believed_sockets", "forget_sockets", "is_stick_file"]

_MOST_BYTES = 65536
_LONGEST_NAME = 200
_MOST_BYSTANDERS = 200
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PREFIX = "hil-stick-"
_FLASHED = "hil-flash-"
_PREFIXES = (_PREFIX, _FLASHED)


class StickSockets:
    """What is learned about one board's stick: a `StickMemory` that outlives the process.

    Args:
        serial: The board.
        folder: Where the locks are; None: the machine's own folder.
    """

    def __init__(self, serial: str, folder: Path | None = None) -> None:
        self._serial = serial
        self._folder = folder
        self._own = OwnMemory()
        self._is_outdated = False
        self._unwritten: tuple[float, str] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether other processes of this host can see what is kept here."""
        return self._read() is not None

    def recall(self) -> Learned | None:
        """Return what was learned; where the file is gone, spoilt or outdated, what this object knows."""
        return self._read() or self._own.recall()

    def keep(self, learned: Learned) -> None:
        """Keep it; where the folder does not let this user, or is full, in this object."""
        self._own.keep(learned)
        self._is_outdated = True
        with suppress(OSError, HilError):
            write_atomically(self._file(), _to_text(learned), mode=0o644)
            self._is_outdated = False

    def forget(self) -> None:
        """Forget it: the cabling has changed."""
        self._own.forget()
        self._is_outdated = True
        with suppress(OSError, HilError):
            self._file().unlink(missing_ok=True)
            self._is_outdated = False

    def of_others(self) -> list[tuple[str, Learned]]:
        """Return what any user's files say of other boards, and what other users' files say of this one."""
        found = []
        for file in self._files():
            serial = file.stem.removeprefix(_PREFIX).partition("-")[0]
            with suppress(OSError):  # one that cannot be read says nothing, and hides no other
                learned, is_believed = _read(file)
                if learned is not None and not (is_believed and serial == self._serial):
                    source = "" if is_believed else str(file)
                    found.append((serial, replace(learned, source=source)))
        return found

    def doubt(self, image: str) -> None:
        """Note it for all users; where the folder does not let this user, or is full, in this object."""
        if self.doubted() == image:
            return
        self._unwritten = time.time(), image
        with suppress(OSError, HilError):
            facts = {"image": image, "when": self._unwritten[0]}
            write_atomically(self._file(_FLASHED), json.dumps(facts) + "\n", mode=0o644)
            self._unwritten = None

    def doubted(self) -> str:
        """Return the newest word: of all files, and of this object where it could not write its own."""
        words = [self._unwritten] if self._unwritten is not None else []
        with suppress(OSError, HilError):
            for file in (self._folder or lock_folder()).glob(f"{_FLASHED}{self._serial}-*.json"):
                with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                    words.append(_word(file))
        return max(words)[1] if words else ""

    def _files(self) -> list[Path]:
        with suppress(OSError, HilError):
            return sorted((self._folder or lock_folder()).glob(f"{_PREFIX}*-*.json"))
        return []

    def _read(self) -> Learned | None:
        if self._is_outdated:
            return None
        with suppress(OSError, HilError):
            learned, is_believed = _read(self._file())
            return learned if is_believed else None
        return None

    def _file(self, prefix: str = _PREFIX) -> Path:
        """The file of this board and user; raises UsageError where the folder cannot be used."""
        return (self._folder or lock_folder()) / f"{prefix}{self._serial}-{os.geteuid()}.json"


def believed_sockets(uid: int, folder: Path | None = None) -> dict[str, Learned]:
    """Return what is believed of all boards' sticks, by serial number; the newest file of each counts.

    Args:
        uid: The user who is believed beside this one and root.
        folder: Where the locks are; None: the machine's own folder.
    """
    found: dict[str, tuple[float, Learned]] = {}
    with suppress(OSError, HilError):
        for file in (folder or lock_folder()).glob(f"{_PREFIX}*-*.json"):
            serial = file.stem.removeprefix(_PREFIX).partition("-")[0]
            with suppress(OSError):
                facts = file.lstat()
                learned, is_believed = _read(file, uid)
                if (
                    learned is not None
                    and is_believed
                    and (serial not in found or found[serial][0] < facts.st_mtime)
                ):
                    found[serial] = facts.st_mtime, learned
    return {serial: learned for serial, (_, learned) in sorted(found.items())}


def is_stick_file(name: str) -> bool:
    """Return True if a file of the lock folder is one of these, which one user alone may write."""
    return name.startswith(_PREFIXES)


def forget_sockets(folder: Path, serial: str) -> None:
    """Remove what users keep of a board that is gone for good, as far as this user may."""
    for prefix in _PREFIXES:
        for file in folder.glob(f"{prefix}{serial}-*.json"):
            with suppress(OSError):
                file.unlink()


def _read(file: Path, also: int = 0) -> tuple[Learned | None, bool]:
    """Read a file; return also whether it may be believed: only this user, root or `also` could write it."""
    content, is_ours = _content(file, also)
    return (_parsed(content) if content else None), is_ours


def _word(file: Path) -> tuple[float, str]:
    """Read when a flash began or ended, and what image is not proven; raises where a file does not say so.

    Another user's word of the future counts as one of long ago: it would be the newest for ever.
    """
    content, is_ours = _content(file)
    facts: Any = json.loads(content)
    when, image = float(facts["when"]), sanitize_line(str(facts["image"]))[:_LONGEST_NAME]
    return (when if is_ours or when <= time.time() else 0.0), image


def _content(file: Path, also: int = 0) -> tuple[bytes, bool]:
    """Read a plain file, and whether only this user, root or `also` could write it."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        is_plain = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
        is_ours = facts.st_uid in {0, also, os.geteuid()} and not facts.st_mode & 0o022
        return (os.read(descriptor, _MOST_BYTES) if is_plain else b""), is_ours
    finally:
        os.close(descriptor)


def _boot() -> str:
    """Return what tells this start of the system from others: no disk is known again after another one."""
    with suppress(OSError):
        return _BOOT.read_text("ascii").strip()
    return ""


def _to_text(learned: Learned) -> str:
    facts = {
        "board": learned.board,
        "socket": learned.socket,
        "names": list(learned.names),
        "came_after_s": round(learned.came_after_s, 3),
        "boot": _boot(),
        "bystanders": sorted(learned.bystanders)[:_MOST_BYSTANDERS],
    }
    return json.dumps(facts) + "\n"


def _parsed(content: bytes) -> Learned | None:
    try:
        facts: Any = json.loads(content)
        vendor, product, serial, size_bytes = facts["names"]
        words = (facts["board"], facts["socket"], vendor, product, serial)
        if not all(type(word) is str for word in words) or type(size_bytes) is not int:
            return None
        if not (is_usb_place(facts["board"]) and is_usb_place(facts["socket"])):
            return None
        names = StickNames(vendor, product, serial, size_bytes)
        came_after_s = float(facts["came_after_s"])
        if not came_after_s < inf:
            return None
        seen = facts.get("bystanders", []) if facts.get("boot") == _boot() else []
        bystanders = frozenset(one for one in seen if type(one) is str)
        return Learned(facts["board"], facts["socket"], names, came_after_s, bystanders)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
