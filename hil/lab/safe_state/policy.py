"""How a board is made safe, as plain data, so that a guard can do it after its parent has died.

The action is named, not called: a function that takes the serial number and keyword arguments of plain data,
and returns what the DUT drew afterwards in amperes (None: not measured), or `MadeSafe` where there is more to
tell. It raises what stood in its way.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

from hil.errors import (
    BoardAbsentError,
    BoardFaultError,
    BoardLostError,
    BoardTimeoutError,
    SimulatorError,
    TransferError,
    UnavailableError,
    UsageError,
    Verdict,
)
from hil.lab.safe_state.record import SafetyEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FORCE_OFF", "HERE", "LEAVE", "OFF", "STICK_TAKEN", "MadeSafe", "Safety", "attempt", "resolve"]

FORCE_OFF = "force-off"
"""The policy of a place that says nothing."""

OFF = "off"
"""The policy of a place that wants the board's own power-off sequence first."""

LEAVE = "leave"
"""The policy of a place whose DUT is to be left alone."""

LONGEST_SEQUENCE_S = 1000.0
"""Six waits of 130 s fit into a power setting's 32 bytes; the board's clock may be slow by a quarter."""

SHORT_ANSWER_S = 2.0
RETRY_S = 0.25
LONGEST_RETRY_S = 2.0

HERE = "hil.lab.safe_state.action:make_safe"
"""The action for a board of this host."""


STICK_TAKEN: Final = "the stick was taken away"
"""How the remark begins that a stick was in use on this host."""


class MadeSafe(NamedTuple):
    """What an action did.

    Attributes:
        amps: What the DUT drew afterwards; None: not measured.
        remark: What else is to be told, such as which process lost the stick.
        was_on: Whether the DUT drew current before.
    """

    amps: float | None
    remark: str = ""
    was_on: bool = False


Action: TypeAlias = Callable[..., float | MadeSafe | None]


@dataclass(frozen=True, slots=True)
class Safety:
    """How a board is made safe.

    Attributes:
        action: `module:function`.
        arguments: What it gets beside the serial number; plain data.
        policy: What the place wants: `force-off`, `off` (the board's own power-off sequence first), `leave`,
            or a sequence of its own such as `aL,w10`; handed to the action.
        limit_s: How long to try; a board that works through a power sequence answers after that (20 s occur).
        absent_s: How long to look for a board that is not on the bus.
        linger_s: How long a guard goes on, after that, with a board that is not known to be unplugged; None:
            for the longest power sequence that a board of this host can be given, and not at all elsewhere.
    """

    action: str = HERE
    arguments: Mapping[str, Any] = field(default_factory=dict)
    policy: str = FORCE_OFF
    limit_s: float = 60.0
    absent_s: float = 3.0
    linger_s: float | None = None

    def to_json(self) -> str:
        """As a guard gets it."""
        return json.dumps({**asdict(self), "arguments": dict(self.arguments)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))

    @property
    def patience_s(self) -> float:
        """How long a guard goes on with such a board when the time for its attempts is over."""
        if self.linger_s is not None:
            return self.linger_s
        return LONGEST_SEQUENCE_S if self.action == HERE else 0.0

    def once(self) -> Self:
        """Return the same for one short attempt: a board that is still silent is soon free again."""
        short = {"answer_s": SHORT_ANSWER_S} if self.action == HERE else {}
        return replace(self, limit_s=0.0, arguments={**self.arguments, **short})

    @property
    def can_glance(self) -> bool:
        """Whether the action can tell at a glance that there is nothing to make safe."""
        return self.action == HERE

    def at_a_glance(self, *, spare_stick: bool = False) -> Self:
        """Return the same for one attempt at a board of which nothing is known.

        Where its DUT drew nothing in the last two seconds, the meter is not waited for once more.

        Args:
            spare_stick: Do nothing while a program of this host uses the stick.
        """
        glance = {"glance": True, **({"spare_stick": True} if spare_stick else {})}
        return replace(self, limit_s=0.0, arguments={**self.arguments, **glance})

    @property
    def leaves_alone(self) -> bool:
        """Whether nothing is to be done."""
        return self.policy == LEAVE


def resolve(name: str) -> Any:  # noqa: ANN401 - a function by name: its caller knows its type
    """Import what `module:function` names.

    Raises:
        UsageError: There is no such module or function.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{name!r} cannot be imported", why=str(error), remedy="name it as module:function"
        ) from error


def attempt(safety: Safety, serial: str, *, why: str, by: str) -> SafetyEvent:
    """Make a board safe, trying until it works or the time is over; a failure is in what it returns."""
    try:
        action: Action = resolve(safety.action)
    except UsageError as error:
        return SafetyEvent.failed(f"{why}; {error.what}: {error.why}", by)
    problem, silent, faulty, transient = "", False, False, False
    for spent_s in _tries(safety.limit_s):
        try:
            done = action(serial, policy=safety.policy, **safety.arguments)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next attempt may do
            silent = isinstance(error, BoardLostError | BoardTimeoutError)
            faulty = isinstance(error, BoardFaultError) and not isinstance(error, _UNANSWERED)
            transient = not _is_unplugged(error)
            problem = f"{type(error).__name__}: {getattr(error, 'what', error)}"
            if _is_absent(error) and spent_s >= safety.absent_s:
                break
        else:
            made = done if isinstance(done, MadeSafe) else MadeSafe(done)
            told = "; ".join(filter(None, (why, made.remark)))
            return SafetyEvent.made_safe(told, by, made.amps, was_on=made.was_on)
    return SafetyEvent.failed(f"{why}; {problem}", by, silent=silent, faulty=faulty, transient=transient)


_UNANSWERED = (BoardTimeoutError, TransferError)
"""Faults that a board shows without answering anything."""


def _tries(limit_s: float) -> Iterator[float]:
    """Yield the seconds spent: once now, then again, pausing longer each time, until `limit_s` is over."""
    began, pause_s = time.monotonic(), RETRY_S
    spent_s = 0.0
    while spent_s <= limit_s:
        yield spent_s
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_RETRY_S)
        spent_s = time.monotonic() - began


def _is_unplugged(error: Exception) -> bool:
    """Whether only a board that is plugged in again can be made safe; a silent one counts as plugged in."""
    return isinstance(error, BoardAbsentError | SimulatorError)


def _is_absent(error: Exception) -> bool:
    """Whether there is nothing to talk to, which no board that is merely busy looks like."""
    if isinstance(error, UnavailableError):
        return error.verdict in {Verdict.ABSENT, Verdict.NO_BACKEND}
    return isinstance(error, SimulatorError)
