"""The record of a whole run, as `run.json` holds it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BoardHealth", "RunRecord"]


@dataclass(slots=True)
class BoardHealth:
    """A board at the end of a run.

    Attributes:
        serial: Serial number.
        firmware: Firmware version; empty if no test of the run used the board.
        simulated: Whether it is a simulated board.
        state: State in the board's record: safe, in use, pending; empty if this host has no record.
        events: Actions that made it safe, the newest last.
    """

    serial: str
    firmware: str = ""
    simulated: bool = False
    state: str = ""
    events: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RunRecord:
    """A run.

    Attributes:
        key: Unique key of the run, also in the history.
        began_s: Start, in seconds since 1970.
        ended_s: End; None if the run was killed, or goes on.
        exit_status: pytest's exit status; None if the run was killed, or goes on.
        host: Name of the machine.
        kind: `nightly`, or empty.
        commit: Git commit of the tests, or the value of `HIL_COMMIT`; empty if unknown.
        image: Value of `HIL_IMAGE`.
        command: The command line.
        boards_from: Where its boards are.
        boards: The boards that it used.
        ledger: The ledger's lines, as the terminal shows them.
        loud: The ledger's warning line; empty if there is none.
        planned: Number of collected tests by kind.
        vanished: Number of files and classes that skipped themselves during collection.
        trouble: What could not be made safe, or could not be recorded.
    """

    key: str
    began_s: float
    ended_s: float | None = None
    exit_status: int | None = None
    host: str = ""
    kind: str = ""
    commit: str = ""
    image: str = ""
    command: str = ""
    boards_from: str = ""
    boards: list[BoardHealth] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    loud: str = ""
    planned: dict[str, int] = field(default_factory=dict)
    vanished: int = 0
    trouble: list[str] = field(default_factory=list)
