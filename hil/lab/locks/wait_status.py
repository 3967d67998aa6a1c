"""What a process that waits for a board tells its user, while it waits and when it gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.errors import BoardBusyError, with_names
from hil.lab.locks.stopped_guards import stopped_guard_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from hil.lab.locks.holder import Holder
    from hil.lab.locks.stopped_guards import StoppedGuard

__all__ = ["WaitStatus"]


class WaitStatus(NamedTuple):
    """What a process that waits for a board can tell its user.

    Attributes:
        holders: Each board that would do, and its holder; None if the lock file names none.
        ahead: Earlier waiters that could take one of these boards, the earliest first.
        elsewhere: Each board that is locked through a lock file of another folder, and by which process.
    """

    holders: tuple[tuple[str, Holder | None], ...]
    ahead: tuple[Holder, ...]
    elsewhere: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        boards = ", ".join(f"board {serial} {use}" for serial, use in self._uses().items())
        return with_names(boards) + self._line()

    def is_news_after(self, told: WaitStatus | None) -> bool:
        """Return True if other processes have the boards than when the user was told last.

        Not if only their tests are others, nor between two leases, when a lock file names no holder.
        """
        processes = _processes_of(self)
        return told is None or (processes != _processes_of(told) and (None, 0) not in processes)

    def busy_error(
        self, needs: int, wait_s: float, wait_option: str, files: Mapping[str, os.stat_result]
    ) -> BoardBusyError:
        """Return the error after the wait.

        Args:
            needs: How many boards are needed at once.
            wait_s: How long the process has waited, in seconds.
            wait_option: The option with which the user sets that.
            files: The lock file of each board.
        """
        for serial, holder in self.holders:
            if serial in files and (guard := stopped_guard_of(files[serial])) is not None:
                return _stopped_guard_error(serial, holder, guard)
        uses = self._uses()
        if len(uses) == 1:
            ((serial, use),) = uses.items()
            what, why = f"board {serial} is in use", use + self._line()
        else:
            what, why = f"boards {', '.join(uses)} are in use", str(self)
        if needs > 1:
            what += f", and {needs} boards are needed at once"
        return BoardBusyError(
            what,
            why=f"{why}; waited {round(wait_s, 2):g} s",
            remedy=f"wait longer ({wait_option} SECONDS), or ask them to end that run",
            serial=self.holders[0][0],
        )

    def _uses(self) -> dict[str, str]:
        elsewhere = dict(self.elsewhere)
        return {
            serial: str(holder or elsewhere.get(serial) or "in use by a process that has not given its name")
            for serial, holder in self.holders
        }

    def _line(self) -> str:
        return f"; {len(self.ahead)} ahead in line: {self.ahead[0].name}" if self.ahead else ""


def _processes_of(status: WaitStatus) -> list[tuple[str | None, int]]:
    return [(serial if holder else None, holder.pid if holder else 0) for serial, holder in status.holders]


def _stopped_guard_error(serial: str, holder: Holder | None, guard: StoppedGuard) -> BoardBusyError:
    name = f"its holder {holder.name}" if holder else "its holder"
    return BoardBusyError(
        f"board {serial} is locked by a guard that was stopped",
        why=f"{name} has ended; its guard (pid {guard.pid}, uid {guard.uid}) was stopped before it made the "
        "board safe, and this user may not kill it",
        remedy=guard.remedy,
        serial=serial,
    )
