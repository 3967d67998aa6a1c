"""When a simulated board switched its DUT's supply: the truth, asked for all the time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from hil.sim.management.client import ManagementClient

if TYPE_CHECKING:
    from types import TracebackType

LOOK_EVERY_S = 0.05


class SupplyWatch:
    """Notes every change of a DUT's supply while its `with` block lasts.

    Args:
        port: The management port of its simulator.
        serial: The board.
    """

    def __init__(self, port: int, serial: str) -> None:
        self._client = ManagementClient(port)
        self._serial = serial
        self._changes: list[tuple[float, bool]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"supply of {serial}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()

    def off_after(self, moment: float) -> float | None:
        """Return how many seconds after `moment` the supply was first seen off; None: never."""
        return next((max(0.0, at - moment) for at, on in self._changes if not on and at >= moment), None)

    def _look(self) -> None:
        last = None
        while not self._over.wait(LOOK_EVERY_S):
            on = self._client.state(self._serial)["supply"]
            if on != last:
                self._changes.append((time.monotonic(), on))
                last = on
