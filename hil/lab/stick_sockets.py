"""What is known of each board's stick, in files of the lock folder for each board and user.

One file says at which USB socket the stick appears. The other says that the stick may boot an image that is
not verified, because a flash was interrupted.

Every user may write a board's record, but another user must not decide which disk is overwritten. So the
socket has a file of its own, and is believed only if the file belongs to this user or root, and no other user
may write it. Other users' files only say which sockets to avoid, and which image is not verified: of those,
the newest counts.
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
from hil.dutlink.storage.stick_memory import LearnedSocket, OwnMemory
from hil.dutlink.storage.usb_sockets import StickNames, is_usb_place
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
    """What hil learned about one board's stick: a `StickMemory` that outlives the process.

    Args:
        serial: The board.
        folder: The lock folder; None for the machine's own folder.
    """

    def __init__(self, serial: str, folder: Path | None = None) -> None:
        self._serial = serial
        self._folder = folder
        self._own = OwnMemory()
        self._is_outdated = False
        self._unwritten: tuple[float, str] | None = None

    @property
    def is_shared(self) -> bool:
        """True if other processes of this host can read what is kept here."""
        return self._read() is not None

    def recall(self) -> LearnedSocket | None:
        """Return the learned socket from the file; if that is missing or outdated, from this object."""
        return self._read() or self._own.recall()

    def keep(self, learned: LearnedSocket) -> None:
        """Keep a learned socket in the file; if that cannot be written, in this object."""
        self._own.keep(learned)
        self._is_outdated = True
        with suppress(OSError, HilError):
            write_atomically(self._file(), _to_text(learned), mode=0o644)
            self._is_outdated = False

    def forget(self) -> None:
        """Forget the learned socket, because the cabling has changed."""
        self._own.forget()
        self._is_outdated = True
        with suppress(OSError, HilError):
            self._file().unlink(missing_ok=True)
            self._is_outdated = False

    def of_others(self) -> list[tuple[str, LearnedSocket]]:
        """Return sockets of other boards from all users' files, and of this board from other users' files."""
        found = []
        for file in self._files():
            serial = file.stem.removeprefix(_PREFIX).partition("-")[0]
            with suppress(OSError):  # a file that cannot be read must not hide the others
                learned, is_believed = _read(file)
                if learned is not None and not (is_believed and serial == self._serial):
                    source = "" if is_believed else str(file)
                    found.append((serial, replace(learned, source=source)))
        return found

    def mark_unverified(self, image: str) -> None:
        """Keep, for all users, that this image is not verified; if no file can be written, in this object."""
        if self.unverified_image() == image:
            return
        self._unwritten = time.time(), image
        with suppress(OSError, HilError):
            facts = {"image": image, "when": self._unwritten[0]}
            write_atomically(self._file(_FLASHED), json.dumps(facts) + "\n", mode=0o644)
            self._unwritten = None

    def unverified_image(self) -> str:
        """Return the newest unverified image: of all files, or of this object if it could not write one."""
        words = [self._unwritten] if self._unwritten is not None else []
        with suppress(OSError, HilError):
            for file in (self._folder or lock_folder()).glob(f"{_FLASHED}{self._serial}-*.json"):
                with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                    words.append(_flash_mark(file))
        return max(words)[1] if words else ""

    def _files(self) -> list[Path]:
        with suppress(OSError, HilError):
            return sorted((self._folder or lock_folder()).glob(f"{_PREFIX}*-*.json"))
        return []

    def _read(self) -> LearnedSocket | None:
        if self._is_outdated:
            return None
        with suppress(OSError, HilError):
            learned, is_believed = _read(self._file())
            return learned if is_believed else None
        return None

    def _file(self, prefix: str = _PREFIX) -> Path:
        """Return the file of this board and user; raise UsageError if the folder cannot be used."""
        return (self._folder or lock_folder()) / f"{prefix}{self._serial}-{os.geteuid()}.json"


def believed_sockets(uid: int, folder: Path | None = None) -> dict[str, LearnedSocket]:
    """Return what is believed of all boards' sticks, by serial number; the newest file of each board counts.

    Args:
        uid: A user who is believed besides this one and root.
        folder: The lock folder; None for the machine's own folder.
    """
    found: dict[str, tuple[float, LearnedSocket]] = {}
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
    """Return True if a file of the lock folder is one of these, which only its owner may write."""
    return name.startswith(_PREFIXES)


def forget_sockets(folder: Path, serial: str) -> None:
    """Remove the files of a board that is gone for good, as far as this user may."""
    for prefix in _PREFIXES:
        for file in folder.glob(f"{prefix}{serial}-*.json"):
            with suppress(OSError):
                file.unlink()


def _read(file: Path, also: int = 0) -> tuple[LearnedSocket | None, bool]:
    """Return the learned socket in a file, and whether only this user, root or `also` could write it."""
    content, is_ours = _content(file, also)
    return (_parsed(content) if content else None), is_ours


def _flash_mark(file: Path) -> tuple[float, str]:
    """Return when a flash began or ended, and which image is not verified.

    A time in the future in another user's file counts as long ago; otherwise it would stay the newest.

    Raises:
        OSError, ValueError, TypeError, KeyError, RecursionError: The file says neither.
    """
    content, is_ours = _content(file)
    facts: Any = json.loads(content)
    when, image = float(facts["when"]), sanitize_line(str(facts["image"]))[:_LONGEST_NAME]
    return (when if is_ours or when <= time.time() else 0.0), image


def _content(file: Path, also: int = 0) -> tuple[bytes, bool]:
    """Return a plain file's bytes, and whether only this user, root or `also` could write it."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        is_plain = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
        is_ours = facts.st_uid in {0, also, os.geteuid()} and not facts.st_mode & 0o022
        return (os.read(descriptor, _MOST_BYTES) if is_plain else b""), is_ours
    finally:
        os.close(descriptor)


def _boot() -> str:
    """Return the id of this start of the system: which disks were seen does not count after another start."""
    with suppress(OSError):
        return _BOOT.read_text("ascii").strip()
    return ""


def _to_text(learned: LearnedSocket) -> str:
    facts = {
        "board": learned.board,
        "socket": learned.socket,
        "names": list(learned.names),
        "came_after_s": round(learned.came_after_s, 3),
        "boot": _boot(),
        "bystanders": sorted(learned.bystanders)[:_MOST_BYSTANDERS],
    }
    return json.dumps(facts) + "\n"


def _parsed(content: bytes) -> LearnedSocket | None:
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
        return LearnedSocket(facts["board"], facts["socket"], names, came_after_s, bystanders)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
