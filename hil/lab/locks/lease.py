"""The exclusive right to use one board, on this machine, for as long as a process holds it.

The firmware knows no leases: a board answers every process. So the right is a kernel lock on a file for each
serial number; `hil.lab.locks.acquire` takes it.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hil.dutlink.borrowed_lease import (
    CONTENT_BYTES,
    LENT,
    OF_BOARD,
    new_token,
    token_hash,
)
from hil.errors import SpoiltFileError
from hil.lab.locks.holder import Holder
from hil.lab.locks.lending import ENDS, end_borrowers, wait_for_requests
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import lock_path
from hil.lab.locks.shared_file import read_shared

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from hil.lab.locks.lock_file import LockFile
    from hil.lab.safe_state.record import BoardRecord

__all__ = ["Lease", "holder_of", "last_used_s", "note_use"]


def holder_of(folder: Path, serial: str) -> Holder | None:
    """Return the holder that a board's lock file names, or None if it names none that can be read."""
    try:
        return Holder.from_json(read_shared(lock_path(folder, serial), CONTENT_BYTES))
    except (OSError, SpoiltFileError):
        return None


def last_used_s(serial: str) -> float:
    """Return when the board was last released, by the monotonic clock; minus infinity if it never was.

    Ask before the board is leased, because a lease counts as a use. The wall clock, which dates the lock
    file, may be set at any time: a use in the future counts as one just now, so that no wait is longer than
    the meter's settling time.

    Raises:
        UsageError: The lock folder cannot be used.
    """
    try:
        used_s = lock_path(lock_folder(), serial).stat().st_mtime
    except FileNotFoundError:
        return -math.inf
    return time.monotonic() - max(0.0, time.time() - used_s)


def note_use(serial: str) -> None:
    """Count now as a use of the board, under a lease that goes on."""
    with suppress(OSError):
        os.utime(lock_path(lock_folder(), serial))


class Lease:
    """The exclusive right to use one board; a `with` block releases it at its end.

    Made by `hil.lab.locks.acquire`.

    Attributes:
        serial: The board.
        holder: This process, as other processes read it in the lock file.
        lock: The board's lock.
        killed_guards: The pids of what kept a dead holder's board locked, stopped, and was killed.
        killed_holder: The last holder if it was killed before it released the board; else None.
    """

    def __init__(self, serial: str, lock: LockFile, holder: Holder) -> None:
        self.serial = serial
        self.holder = holder
        self.lock = lock
        self._lent: dict[str, str] = {}
        self._earlier_turns = -lock.turns()  # a killed holder's programs have noted some, too
        self.killed_guards: tuple[int, ...] = ()
        self._is_untouched = False
        self._found = content = lock.read()
        self._found_ns = lock.modified_ns()
        self.killed_holder = Holder.from_json(content)
        end_borrowers(content, serial)  # of a `hil lease` that was killed together with its guard
        self._write()
        wait_for_requests(lock.descriptor)

    def record(self) -> BoardRecord:
        """Return the board's record as the last holder left it.

        A last holder that is still named in the lock file never released the board. If the record does not
        tell the board's state, or was removed since, the board counts as in use by that holder.
        """
        from hil.lab.safe_state.record import BoardState, read_record  # noqa: PLC0415 - `hil power` does without

        record = read_record(self.lock.path.parent, self.serial)
        if self.killed_holder is None or record.state is not BoardState.UNKNOWN:
            return record
        return record.marked_in_use(self.killed_holder)

    def leave_untouched(self) -> None:
        """Promise to do nothing to the board.

        `release` then leaves a killed holder's name in the file, and the time when the board was last used.
        """
        self._is_untouched = True
        self.lock.keep_modified(self._found_ns)

    def set_test(self, test: str) -> None:
        """Write into the lock file which test, or what else, the board is used for now."""
        self.holder = self.holder._replace(test=test)
        self._write()

    def lend(self, *, ends_borrowers: bool) -> str:
        """Return a token by which other processes use the board under this lease, as long as it lasts.

        The lock file, which every user may read, has hashes of the token only.

        Args:
            ends_borrowers: Whether those processes end with the lease, also when this process is killed.
        """
        token = new_token(str(self.lock.path.absolute()))
        uses = (LENT, ENDS) if ends_borrowers else (LENT,)
        self._lent = {use: token_hash(token, self.serial, use) for use in uses} | {OF_BOARD: self.serial}
        self._write()
        return token

    def end_lending(self) -> None:
        """Stop other processes from using the board; return when none of their requests is under way."""
        if self._lent:
            self._lent = {}
            self._write()
            if self.lock.descriptor >= 0:
                wait_for_requests(self.lock.descriptor)

    def lent_turns(self) -> int:
        """Return a number that grows each time that a program under this lease turns the mux."""
        return self._earlier_turns + self.lock.turns()

    def move_to(self, lock: LockFile) -> None:
        """Use the file that took the place of the lock file; that may hide a turn, so it counts as one."""
        self._earlier_turns = self.lent_turns() + 1 - lock.turns()
        self.lock = lock

    def _write(self) -> None:
        self.lock.write(json.dumps({**self.holder.to_data(), **self._lent}).encode())

    def release(self) -> None:
        """Release the board; harmless when repeated."""
        if self._is_untouched and self.killed_holder is not None and self.lock.descriptor >= 0:
            self.lock.write(self._found)
            self.lock.unlock()
            self.lock.close()
            return
        self.lock.release()

    def release_untouched(self) -> None:
        """Release a board to which nothing was done, if that was not done before; see `leave_untouched`."""
        self.leave_untouched()
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
