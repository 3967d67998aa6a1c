"""What is kept of a whole run: when and where, what of, its boards, its ledger."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BoardHealth", "RunRecord"]


@dataclass(slots=True)
class BoardHealth:
    """A board at the end of a run.

    Attributes:
        serial: Its serial number.
        firmware: Its version; empty if no test of the run had it.
        simulated: Whether it is a simulated one.
        state: What its record says: safe, in use, pending; empty: it has none here.
        events: What had to be done to make it safe, the newest last.
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
        key: Unlike that of any other run; the history has it by the same key.
        began_s: When, in seconds since 1970.
        ended_s: When it ended; None: it was killed, or goes on.
        exit_status: pytest's; None as above.
        host: Name of the machine.
        kind: `nightly`, or empty.
        commit: The git commit of the tests, or what `HIL_COMMIT` says; empty if unknown.
        image: What `HIL_IMAGE` says.
        command: What was typed.
        boards_from: Where its boards are.
        boards: Those that it used.
        ledger: The ledger's lines, as the terminal shows them.
        loud: The ledger's loud line; empty if there is none.
        planned: How many tests it collected, by kind.
        vanished: How many files and classes skipped themselves while they were collected.
        trouble: What could not be made safe or could not be kept.
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
