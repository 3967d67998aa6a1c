"""What a lab file says of a board's place beside its wiring; a file of another machine may say it, too."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from hil.lab.safe_state.policy import FORCE_OFF

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.lab.config.lab import Lab

__all__ = ["PlaceInfo"]


@dataclass(frozen=True, slots=True)
class PlaceInfo:
    """One place.

    Attributes:
        safe: What it calls safe; see `hil.lab.safe_state.policy.Safety.policy`.
        watch: Its own patterns of trouble on the console.
        sequences: The power sequences that its board should store, by the name of their setting.
        simulated: Whether its board is a simulated one.
    """

    safe: str = FORCE_OFF
    watch: tuple[str, ...] = ()
    sequences: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    @classmethod
    def of(cls, lab: Lab, serial: str, *, simulated: bool = False) -> Self:
        """Return what a lab file says of a board's place."""
        return cls(lab.policy_of(serial), lab.watch_of(serial), lab.sequences_of(serial), simulated)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_data`; what is missing is as if no file said it."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**known | {"watch": tuple(data.get("watch", ()))})

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, to be told to another machine."""
        return asdict(self)

    def before(self, there: PlaceInfo) -> PlaceInfo:
        """Return what holds where both this machine's file and another one's speak: this one's goes first."""
        more = tuple(pattern for pattern in self.watch if pattern not in there.watch)
        return PlaceInfo(
            safe=there.safe if self.safe == FORCE_OFF else self.safe,
            watch=there.watch + more,
            sequences={**there.sequences, **self.sequences},
            simulated=there.simulated,
        )
