"""Events by which `Power` and `Pins` report what they do to the DUT."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hil.dutlink.usb.protocol import PowerAction

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DutEvent", "EventListener", "PowerEvent", "ResetEvent"]


class PowerEvent(NamedTuple):
    """A power request that is about to be sent, or whose sequence has ended.

    Attributes:
        action: The request.
        blind_s: Seconds for which its sequence lets no console byte through.
        is_done: Whether the sequence has ended.
    """

    action: PowerAction
    blind_s: float = 0.0
    is_done: bool = False

    @property
    def starts_dut(self) -> bool:
        """Whether the DUT may start now."""
        return not self.is_done and self.action in {PowerAction.ON, PowerAction.FORCE_ON, PowerAction.RESCUE}

    def __str__(self) -> str:
        name = f"power {self.action.name.lower().replace('_', '-')}"
        if self.is_done:
            return f"{name} is done"
        if self.blind_s:
            return f"{name}; blind for {self.blind_s:.1f} s: its sequence lets no console byte through"
        return name


class ResetEvent:
    """The reset pin is held low; the DUT starts when the pin is released."""

    @property
    def starts_dut(self) -> bool:
        """Whether the DUT may start now."""
        return True

    def __str__(self) -> str:
        return "reset low"


DutEvent: TypeAlias = PowerEvent | ResetEvent
EventListener: TypeAlias = "Callable[[DutEvent], object]"
