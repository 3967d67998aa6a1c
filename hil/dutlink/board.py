"""One DUTLink board: its nouns together."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

from hil.dutlink.discovery import ANSWER_LIMIT_S, open_link
from hil.dutlink.dut_event import PowerEvent
from hil.dutlink.held_boards import held_boards
from hil.dutlink.noun import Noun
from hil.dutlink.pins import Pins
from hil.dutlink.power.power import Power
from hil.dutlink.power.sequence_timing import stored_duration_s
from hil.dutlink.usb.firmware import check_firmware
from hil.dutlink.usb.protocol import CLOCK_MARGIN, ConfigKey
from hil.dutlink.usb.request_count import uncounted
from hil.dutlink.wiring import Wiring
from hil.errors import BoardFaultError, HilError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hil.dutlink.console.console import Console
    from hil.dutlink.console.expect import Expected
    from hil.dutlink.console.tty import Tty
    from hil.dutlink.dut_event import DutEvent
    from hil.dutlink.host import Host
    from hil.dutlink.settings import BoardSettings
    from hil.dutlink.storage.storage import Position, Storage
    from hil.dutlink.usb.access import Access
    from hil.dutlink.usb.control_link import ControlLink
    from hil.dutlink.usb.firmware import FirmwareVersion
    from hil.dutlink.usb.request_log import LastRequests

__all__ = ["Board", "open_board"]

logger = logging.getLogger(__name__)

_POWER_SETTINGS = {
    "power on": ConfigKey.POWER_ON,
    "power off": ConfigKey.POWER_OFF,
    "power rescue": ConfigKey.POWER_RESCUE,
}


class Board(Noun):
    """An open board; `open_board` makes it.

    Attributes:
        serial: Its serial number.
        firmware: Its version.
        host: Where it is plugged in.
        power: The DUT's supply and its meter.
        storage: The stick and its mux.
        pins: The control pins.
        settings: What the board keeps in flash.
        console: The DUT's console and the board's shell.
    """

    serial: str
    firmware: FirmwareVersion
    host: Host
    power: Power
    pins: Pins

    def __init__(self, link: ControlLink, firmware: FirmwareVersion, host: Host, wiring: Wiring) -> None:
        self.serial = link.serial
        self.firmware = firmware
        self.host = host
        self.power = Power(link, self._record)
        self.pins = Pins(link, self._record)
        self._boot_begin = 0
        self._before_turn: Callable[[], None] = lambda: None
        self._link = link
        self._wiring = wiring

    def __repr__(self) -> str:
        name = f"{self._wiring.name} " if self._wiring.name else ""
        return f"<Board {name}{self.serial}, {self.power.words}, {self.storage.words}>"

    @cached_property
    def storage(self) -> Storage:
        """The stick and its mux."""
        from hil.dutlink.storage.storage import Storage  # noqa: PLC0415 - a command that reads the meter does without

        host, memory = self.host, self.host.stick_memory and self.host.stick_memory(self.serial)
        stick, slowest_s = self._wiring.stick, host.slowest_stick_s
        remote, before_turn = host.remote_stick, lambda: self._before_turn()  # noqa: PLW0108 - it may be set later
        return Storage(self._link, host.dev, stick, host.sys, remote, memory, slowest_s, before_turn)

    @cached_property
    def settings(self) -> BoardSettings:
        """What the board keeps in flash."""
        from hil.dutlink.settings import BoardSettings  # noqa: PLC0415 - the same

        return BoardSettings(self._link)

    @cached_property
    def console(self) -> Console:
        """The DUT's console and the board's shell."""
        from hil.dutlink.console.console import Console  # noqa: PLC0415 - the same
        from hil.dutlink.console.tty import uart_of  # noqa: PLC0415 - the same

        console = Console(
            self.serial,
            self._find_tty,
            uart_of(self.host.dev, self.serial),
            access=self._link.access,
            unpowered=self._dut_is_unpowered,
            switched_off=lambda: self.power.is_off,
            allowance=self._busy_with,
        )
        console.set_login(self._wiring.login)
        console.pace_s = self._wiring.pace_s
        return console

    @property
    def position(self) -> Position | None:
        """Where this object last turned the stick; None if it did not."""
        return self.storage.position if "storage" in self.__dict__ else None

    def call_before_turn(self, function: Callable[[], None]) -> None:
        """Call `function` before each turn of the mux; the process may be killed during the turn."""
        self._before_turn = function

    @property
    def stored_name(self) -> str | None:
        """The name that the board stores, as this object read it last; None if it did not."""
        last_read = self.settings.last_read if "settings" in self.__dict__ else None
        return last_read.name if last_read is not None else None

    @property
    def label(self) -> str:
        """What a person calls it: its place in the lab file, else `board` and its serial number."""
        return self._wiring.name or f"board {self.serial}"

    @property
    def requests(self) -> LastRequests:
        """The last requests that it was sent, and what became of them."""
        return self._link.requests

    @property
    def busy_s(self) -> float:
        """Seconds for which a power sequence that was started through this object may still run."""
        return self._link.busy_s

    @property
    def location(self) -> str:
        """Bus and address of the board when it was opened, in the words of `ProbeResult.location`."""
        return self._link.location

    def is_reachable(self) -> bool:
        """Return True unless the device that was opened has left the bus, even if it is silent.

        A board that left the bus and came back is another device: this object cannot reach it.
        """
        return self._link.is_reachable()

    def answers(self, limit_s: float) -> bool:
        """Return True if the board answers this object in time; the request counts for no test."""
        try:
            with uncounted():
                self._link.wait_ready(limit_s)
        except HilError:
            return False
        return True

    def make_safe(self, *, leave_stick: bool = False) -> None:
        """Force the supply off, take the stick from everybody, leave all pins floating.

        The stick is taken also from a program of this host that uses it; `storage.taken_from` says which.

        Then nothing can be disturbed any more, and a console that is open is brought back to console mode.

        Args:
            leave_stick: Leave the stick where it is.

        Raises:
            Exception: The first of the errors, a HilError unless a test has spoilt these objects; all of the
                steps are tried whatever happens to the others.
        """
        errors: list[Exception] = []
        take_stick = () if leave_stick else (partial(Board._take_stick, self),)
        # By their classes: a test may have put something else into these objects.
        for step in (
            partial(Power.force_off, self.power),
            *take_stick,
            partial(Pins.float_all, self.pins),
            partial(Board._settle_console, self),
        ):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - a test may have spoilt what the step needs
                errors.append(error)
        if errors:
            raise errors[0]

    def wait_until_up(self, timeout_s: float | None = None) -> Expected:
        """Wait until the DUT's console shows that it is up, and return the match.

        What that is says the lab file (`up`); without one, it is a login prompt. Only what came since the
        supply was last switched on through this object counts, and it stays there for `expect` and `login`.

        Args:
            timeout_s: How long, in seconds; None: as the lab file says (`up_timeout_s`), else 120.

        Raises:
            ExpectError: It did not come in time; says what came instead.
            BoardFaultError: The DUT is switched off.
            ConsoleError: The console cannot be used.
        """
        if self.power.is_off:
            raise BoardFaultError(
                f"the DUT of board {self.serial} cannot come up",
                why="it is switched off",
                remedy="power.on()",
                serial=self.serial,
            )
        from hil.dutlink.dut.login_questions import LOGIN_PROMPT  # noqa: PLC0415 - most commands wait for no DUT

        limit_s = self._wiring.up_timeout_s if timeout_s is None else timeout_s
        return self.console.wait_for_pattern(self._wiring.up or LOGIN_PROMPT, self._boot_begin, limit_s)

    @property
    def access(self) -> Access:
        """Permission to use the board, which every transfer asks for."""
        return self._link.access

    def close(self) -> None:
        """Let go of console and board; power, position and pins stay as they are.

        Whatever uses this object afterwards gets a `LeaseEndedError`.
        """
        self.access.end()
        for noun in ("storage", "console"):
            if noun in self.__dict__:  # it was used
                getattr(self, noun).close()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_stick(self) -> None:
        """Take the stick away even if a program uses it: left with the host, a later test would write it."""
        self.storage.off(force=True)
        if self.storage.taken_from:
            logger.warning(
                "board %s: the stick was taken away although %s", self.serial, self.storage.taken_from
            )

    def _settle_console(self) -> None:
        if self.power.cut:
            from hil.dutlink.console.console import Console  # noqa: PLC0415 - as above

            Console.ensure_console_mode(self.console)

    def _record(self, event: DutEvent) -> None:
        """Record in the console's transcript what is done to the DUT."""
        mark = self.console.transcript.mark(str(event), starts_dut=event.starts_dut)
        if isinstance(event, PowerEvent) and event.starts_dut:
            self._boot_begin = mark.position

    def _find_tty(self) -> Tty:
        """Tell which tty the console is; the setting is read afresh, and only if the wiring does not say."""
        from hil.dutlink.console.tty import find_tty  # noqa: PLC0415 - as above

        usb_console = "" if self._wiring.console else self.settings.read().usb_console
        return find_tty(self.host.dev, self.serial, usb_console, self._wiring)

    def _dut_is_unpowered(self) -> bool:
        """Whether the DUT has no power for certain: it was cut, or nothing is drawn."""
        if self.power.cut:
            return True
        with suppress(HilError):
            return not self.power.draws()
        return False

    def _busy_with(self, command: str) -> float:
        """Seconds that a command of the board's shell may keep it busy: the sequence behind `power on`.

        A sequence that is still running is waited out first: the shell would not answer.
        """
        self._link.wait_idle()
        if command.split()[:1] == ["storage"]:
            self.storage.forget()
        if command.split()[:1] == ["power"]:
            self.power.forget()
        key = _POWER_SETTINGS.get(command.strip())
        if key is None:
            return 0.0
        duration_s = stored_duration_s(self._link.read_setting(key))
        self._link.set_busy(duration_s)
        return duration_s * CLOCK_MARGIN


def open_board(
    host: Host,
    serial: str | None = None,
    wiring: Wiring | None = None,
    *,
    limit_s: float = ANSWER_LIMIT_S,
    console: bool = True,
) -> Board:
    """Open a board. In a run, that is a board which this process holds.

    Args:
        host: Where it is plugged in.
        serial: Which; None takes the first that can be used.
        wiring: What the board cannot know about its bench.
        limit_s: How long it may stay silent at first, in seconds: it may be working through a power
            sequence that somebody else started.
        console: Open the console too, if that is possible, so that nothing the DUT says is missed. If it is
            not, its first use says why.

    Raises:
        NoUsbBackendError, BoardAbsentError, BoardInBootLoaderError, BoardDeniedError, BoardBusyError,
            BoardLostError: It cannot be used.
        FirmwareTooOldError: It lacks what this driver needs.
        NotLeasedError: This process belongs to a run, and does not hold the board.
    """
    probed = open_link(host, serial or held_boards.default_for(host), limit_s)
    link, firmware = probed.link, probed.result.firmware
    if link is None or firmware is None:
        raise probed.result.error or HilError(f"board {serial} cannot be opened")
    try:
        held_boards.admit(host, link.access)
        check_firmware(firmware, link.serial)
    except HilError:
        probed.release()
        raise
    board = Board(link, firmware, host, wiring or Wiring())
    if console:
        with suppress(HilError):  # the first use tries again, and says why it cannot be
            board.console.open(wait_s=0.0)
    return board
