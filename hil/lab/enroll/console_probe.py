"""Find the console that prints when the DUT gets power: the board's own, or one of the DUT's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from hil.dutlink.console.port import ConsolePort
from hil.dutlink.console.transcript import Transcript
from hil.dutlink.console.tty import UART_BAUD, Tty, serial_devices, uart_of
from hil.dutlink.timing import Deadline, until
from hil.errors import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["ConsoleProbe"]

_ENOUGH_BYTES: Final = 16
_READABLE: Final = 0.8
"""The least share of printable bytes; noise of an open line, or a wrong baud rate, has less."""

_GRACE_S: Final = 2.0
_PRINTABLE: Final = frozenset(range(0x20, 0x7F)) | {0x07, 0x08, 0x09, 0x0A, 0x0D, 0x1B}


class ConsoleProbe:
    """Listen to every console that may be the DUT's, except consoles of other boards and consoles in use.

    A console that prints while the DUT has no power is not the DUT's.

    Args:
        dev: The host's device folder.
        serial: The board's serial number.
        sys: The host's folder of kernel devices.
    """

    def __init__(self, dev: Path, serial: str, sys: Path) -> None:
        self._dev = dev
        self._sys = sys
        self._own = uart_of(dev, serial).path
        self._serial = serial
        self._ports: dict[Path, ConsolePort] = {}
        self._heard: dict[Path, Transcript] = {}
        self._not_the_duts: set[Path] = set()

    def __enter__(self) -> Self:
        self._open_consoles()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._ports:
            self._ports.popitem()[1].close()

    def mark_power_on(self) -> None:
        """Count output from now on; another console than the board's that printed before is not the DUT's."""
        self._not_the_duts = {
            path for path, heard in self._heard.items() if heard.position and path != self._own
        }
        for path in self._heard:
            self._heard[path].mark("power")

    def wait_for_speaker(self, limit_s: float) -> Path | None:
        """Wait until a console prints text, and return it; None if none did in time.

        Prefers the board's own console: if another prints as well, that may be a copy.
        """
        deadline = Deadline(limit_s)
        if until(lambda: self._speaking() or None, limit_s) is None:
            return None
        until(lambda: self._own in self._speaking(), min(_GRACE_S, deadline.left_s))
        speaking = self._speaking()
        return self._own if self._own in speaking else max(speaking, key=lambda path: len(self._said(path)))

    def _speaking(self) -> list[Path]:
        self._open_consoles()  # a DUT may provide a console when it has power
        return [path for path in self._heard if path not in self._not_the_duts and _is_text(self._said(path))]

    def _said(self, path: Path) -> bytes:
        """Return the output since the DUT got power."""
        heard = self._heard[path]
        marks = heard.marks
        return heard.between(marks[0].position if marks else 0)

    def _open_consoles(self) -> None:
        for path in self._candidates():
            if path not in self._ports:
                heard = Transcript()
                tty = Tty(path, UART_BAUD, is_board=path == self._own)
                with suppress(ConsoleError):  # in use, or forbidden: not the DUT's
                    self._ports[path] = ConsolePort(tty, self._serial, heard)
                    self._heard[path] = heard

    def _candidates(self) -> Iterator[Path]:
        for path, is_board in serial_devices(self._dev, self._sys).items():
            if path == self._own or not is_board:
                yield path


def _is_text(said: bytes) -> bool:
    return len(said) >= _ENOUGH_BYTES and sum(byte in _PRINTABLE for byte in said) >= _READABLE * len(said)
