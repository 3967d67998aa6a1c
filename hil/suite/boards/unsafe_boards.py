"""Boards that a run could not make safe: their guards go on, and the ledger tells what became of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.timing import until
from hil.errors import BoardLostError, HilError
from hil.suite.hook_errors import told
from hil.suite.original_code import is_original
from hil.suite.outcome.ledger import LeftBoard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.boards.acquired import AcquiredBoard
    from hil.lab.safe_state.record import BoardRecord
    from hil.suite.outcome.ledger import Ledger
    from hil.suite.xdist.worker_channel import WorkerChannel

__all__ = ["UnsafeBoards", "await_guard"]

LOOK_S = 8.0
"""How long a guard may take before the run ends without its answer; the board's record has it later."""


class UnsafeBoards:
    """The boards that this process could not release safe, and errors that no test is left to raise.

    Args:
        ledger: Keeps them; the ledger of a worker is sent to the controller.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(self, error: Exception, held: AcquiredBoard | None) -> None:
        """Keep the error with which a board was released.

        Args:
            error: Why the board could not be made safe.
            held: The board; None: it was not acquired.
        """
        trouble = str(error) if isinstance(error, HilError) else told(error)
        is_lost = isinstance(error, BoardLostError) and is_original()  # its tests are skipped for that
        if held is None or held.lease is None:
            self._ledger.trouble.append(trouble)
        else:
            serial, folder = held.board.serial, str(held.lease.folder)
            wait_s = 0.0 if is_lost else LOOK_S
            guarded = held.lease.guard_error is None
            left = LeftBoard(trouble, serial, folder, os.getpid(), wait_s, is_lost, guarded)
            self._ledger.left.append(left)
        self._ledger.unsafe = self._ledger.unsafe or not is_lost

    def forget(self, serial: str) -> None:
        """Forget a board that came back in this run and was released safe now.

        If it has failed the run before, the summary tells why.
        """
        back = [one for one in self._ledger.left if one.serial == serial]
        self._ledger.left[:] = [one for one in self._ledger.left if one.serial != serial]
        later = "made safe later in the run"
        self._ledger.safe_since += [f"{one.trouble}; {later}" for one in back if not one.lost]

    def add_error(self, when: str, error: BaseException) -> None:
        """Keep an error that no test is left to raise: the run fails, and its summary tells the error."""
        self._ledger.trouble.append(f"{when}: {told(error)}")
        self._ledger.unsafe = True

    def tell_faults(self, faults: Mapping[str, HilError], channel: WorkerChannel | None) -> None:
        """Tell the run, once, what is wrong with each board that answers and cannot be used.

        Args:
            faults: What is wrong, by serial number.
            channel: The connection to a controller that tells other workers; None: there is none.
        """
        for serial in faults.keys() - self._ledger.faults.keys():
            fault = faults[serial]
            self._ledger.faults[serial] = " ".join(f"{fault.what}: {fault.why}. Try: {fault.remedy}".split())
            if channel is not None:
                channel.fault(serial, fault)

    def await_guards(self) -> None:
        """Wait for the guards of the boards and tell how each ended; after Ctrl-C, tell without waiting."""
        while self._ledger.left:
            left = self._ledger.left[0]
            try:
                is_safe, how = await_guard(left)
            except KeyboardInterrupt:
                self._ledger.unsafe = True
                self._ledger.left[:] = [replace(one, wait_s=0.0) for one in self._ledger.left]
                continue
            kept = self._ledger.safe_since if is_safe else self._ledger.trouble
            kept.append(f"{left.trouble}; {how}")
            del self._ledger.left[0]


def await_guard(left: LeftBoard) -> tuple[bool, str]:
    """Wait for the guard of a board; return whether it was made safe, and what its record says.

    A later holder, such as another worker, acquired it safe.
    """
    from hil.lab.safe_state.record import BoardState, read_record  # noqa: PLC0415 - seldom needed

    def settled() -> BoardRecord | None:
        record = read_record(Path(left.folder), left.serial)
        return None if record.state is BoardState.IN_USE and not _has_another_holder(record, left) else record

    try:
        record = until(settled, left.wait_s)
    except HilError:
        record = None
    if record is None and not left.guarded:
        return False, f"no guard runs, make it safe with `hil safe {left.serial}`"
    if record is None or not record.events:
        return False, f"its guard goes on, `hil safe {left.serial}` tells how it ended"
    is_safe = record.state in {BoardState.SAFE, BoardState.IN_USE}
    return is_safe, str(record.events[-1])


def _has_another_holder(record: BoardRecord, left: LeftBoard) -> bool:
    return record.holder is not None and record.holder.pid != left.pid
