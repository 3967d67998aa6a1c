"""How a board is made safe, as plain data, so that a guard process can do it after its parent has died.

The action is a name, `module:function`. The function takes the serial number and keyword arguments of plain
data. It returns what the DUT drew afterwards in amperes (None if that was not measured), or a `MadeSafe`. It
raises an exception if the board could not be made safe.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, NamedTuple, Self, TypeAlias

from hil.errors import UsageError

__all__ = ["FORCE_OFF", "HERE", "LEAVE", "OFF", "STICK_TAKEN", "Action", "MadeSafe", "Safety", "resolve"]

FORCE_OFF = "force-off"
"""The default policy of a place."""

OFF = "off"
"""The policy of a place that wants the board's own power-off sequence first."""

LEAVE = "leave"
"""The policy of a place whose DUT is to be left alone."""

LONGEST_SEQUENCE_S = 1000.0
"""Six waits of 130 s fit into a power setting's 32 bytes; the board's clock may be slow by a quarter."""

SHORT_ANSWER_S = 2.0

HERE = "hil.lab.safe_state.action:make_safe"
"""The action for a board of this host."""

STICK_TAKEN: Final = "the stick was taken away"
"""How the remark begins that a process of this host used the stick."""


class MadeSafe(NamedTuple):
    """What an action did.

    Attributes:
        amps: What the DUT drew afterwards; None if it was not measured.
        remark: What else to report, such as which process lost the stick.
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
        arguments: The action's keyword arguments; plain data.
        policy: What the place wants: `force-off`, `off` (the board's own power-off sequence first), `leave`,
            or a sequence of its own such as `aL,w10`; the action gets it.
        limit_s: How long to try. A board that works through a power sequence (20 s occur) answers after it.
        absent_s: How long to look for a board that is not on the bus.
        linger_s: How long a guard goes on trying after `limit_s`, unless the board is known to be unplugged.
            None: for a board of this host as long as the longest power sequence, for other boards not at all.
    """

    action: str = HERE
    arguments: Mapping[str, Any] = field(default_factory=dict)
    policy: str = FORCE_OFF
    limit_s: float = 60.0
    absent_s: float = 3.0
    linger_s: float | None = None

    def to_json(self) -> str:
        """Return the data as a guard gets it."""
        return json.dumps({**asdict(self), "arguments": dict(self.arguments)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the data that `to_json` wrote; keys that another version of hil added are ignored.

        A run may replace its own installation, so a holder and its guard may be of two versions.
        """
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})

    @property
    def patience_s(self) -> float:
        """How long a guard goes on trying after `limit_s`; see `linger_s`."""
        if self.linger_s is not None:
            return self.linger_s
        return LONGEST_SEQUENCE_S if self.action == HERE else 0.0

    def with_policy(self, policy: str) -> Self:
        """Return the same with this policy."""
        return replace(self, policy=policy)

    def once(self) -> Self:
        """Return the same for one short attempt, so that a silent board is soon free again."""
        short = {"answer_s": SHORT_ANSWER_S} if self.action == HERE else {}
        return replace(self, limit_s=0.0, arguments={**self.arguments, **short})

    def within(self, wait_s: float) -> Self:
        """Return the same for a user who waits so many seconds; a silent board gets one short attempt."""
        arguments = dict(self.arguments)
        if "answer_s" in arguments:
            arguments["answer_s"] = min(arguments["answer_s"], max(SHORT_ANSWER_S, wait_s))
        return replace(self, limit_s=min(self.limit_s, wait_s), arguments=arguments)

    @property
    def can_glance(self) -> bool:
        """True if the action takes the arguments that `at_a_glance` adds."""
        return self.action == HERE

    def at_a_glance(self, *, spare_stick: bool = False) -> Self:
        """Return the same for one attempt at a board without a record.

        If the DUT drew nothing in the last two seconds, the attempt does not wait for the meter again.

        Args:
            spare_stick: Do nothing while a program of this host uses the stick.
        """
        glance = {"glance": True, **({"spare_stick": True} if spare_stick else {})}
        return replace(self, limit_s=0.0, arguments={**self.arguments, **glance})

    @property
    def leaves_alone(self) -> bool:
        """True if nothing is to be done."""
        return self.policy == LEAVE


def resolve(name: str) -> Any:  # noqa: ANN401 - a function by name: its caller knows its type
    """Import the function that `module:function` names.

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
