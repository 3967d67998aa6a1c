"""What lab files, of this machine or of an exporter's, say of a board's place beside its wiring."""

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
    """A place of a lab file.

    Attributes:
        safe: The policy that a file states; None if none does. See `hil.lab.safe_state.policy.Safety.policy`.
        watch: Its regular expressions for trouble on the console.
        sequences: The power sequences that its board should store, by the name of their setting.
        simulated: Whether its board is a simulated one.
    """

    safe: str | None = None
    watch: tuple[str, ...] = ()
    sequences: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    @property
    def policy(self) -> str:
        """What counts as safe."""
        return FORCE_OFF if self.safe is None else self.safe

    @classmethod
    def of(cls, lab: Lab, serial: str, *, simulated: bool = False) -> Self:
        """Return what a lab file says of a board's place."""
        return cls(lab.stated_policy_of(serial), lab.watch_of(serial), lab.sequences_of(serial), simulated)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the place that `as_data` wrote; missing values are as if no file had them."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**known | {"watch": tuple(data.get("watch", ()))})

    def as_data(self) -> dict[str, Any]:
        """Return the place as plain data, for another machine."""
        return asdict(self)

    def merged_over(self, there: PlaceInfo) -> PlaceInfo:
        """Return this machine's view of a place combined with the exporter's: this machine's goes first."""
        more = tuple(pattern for pattern in self.watch if pattern not in there.watch)
        return PlaceInfo(
            safe=there.safe if self.safe is None else self.safe,
            watch=there.watch + more,
            sequences={**there.sequences, **self.sequences},
            simulated=there.simulated,
        )
