"""An open DUTLink board, with its power, storage, pins, settings and console."""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

from hil.dutlink.discovery import ANSWER_LIMIT_S, open_link, open_twin_links
from hil.dutlink.held_boards import held_boards
from hil.dutlink.noun import Noun
from hil.dutlink.pins import Pins, ResetEvent
from hil.dutlink.power.power import Power, PowerEvent
from hil.dutlink.power.sequence_duration import stored_duration_s
from hil.dutlink.usb.protocol import ConfigKey
from hil.dutlink.usb.request_log import uncounted
from hil.dutlink.wiring import Wiring
from hil.errors import BoardFaultError, HilError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hil.dutlink.console.console import Console
    from hil.dutlink.console.expect import Expected
    from hil.dutlink.console.tty import Tty
    from hil.dutlink.dut.prompt import StickState
    from hil.dutlink.host import Host
    from hil.dutlink.settings import BoardSettings
    from hil.dutlink.storage.storage import Position, Storage
    from hil.dutlink.usb.access import Access
    from hil.dutlink.usb.control_link import ControlLink
    from hil.dutlink.usb.firmware import FirmwareVersion
    from hil.dutlink.usb.request_log import LastRequests
    from hil.dutlink.usb.safe_requests import SafeProof, SafeRequests

__all__ = ["Board", "make_board_safe", "open_driver", "open_twins"]

logger = logging.getLogger(__name__)

_POWER_SETTINGS = {
    "power on": ConfigKey.POWER_ON,
    "power off": ConfigKey.POWER_OFF,
    "power rescue": ConfigKey.POWER_RESCUE,
}


class Board(Noun):
    """An open board; `open_driver` makes it.

    Attributes:
        serial: Its serial number.
        firmware: The version of its firmware.
        host: Where it is plugged in.
        power: The DUT's supply and its meter.
        storage: The stick and its mux.
        pins: The control pins.
        settings: The settings in the board's flash.
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
        self._release: Callable[[], None] | None = None
        self._link = link
        self._wiring = wiring

    def __repr__(self) -> str:
        name = self._name
        return f"<Board {name}{' ' if name else ''}{self.serial}, {self.power.words}, {self.storage.words}>"

    @cached_property
    def storage(self) -> Storage:
        """The stick and its mux."""
        from hil.dutlink.storage.storage import Storage  # noqa: PLC0415 - a command that reads the meter does not need it

        host, memory = self.host, self.host.stick_memory and self.host.stick_memory(self.serial)
        before_turn = lambda: self._before_turn()  # noqa: E731, PLW0108 - it may be set later
        how = self._link, host.dev, self._wiring.stick, host.sys, memory, host.slowest_stick_s, before_turn
        if host.remote_stick is None:
            return Storage(*how)
        from hil.dutlink.storage.storage_elsewhere import StorageElsewhere  # noqa: PLC0415 - few boards are remote

        return StorageElsewhere(host.remote_stick, *how)

    @cached_property
    def settings(self) -> BoardSettings:
        """The settings in the board's flash."""
        from hil.dutlink.settings import BoardSettings  # noqa: PLC0415 - a command that reads the meter does not need it

        return BoardSettings(self._link)

    @cached_property
    def console(self) -> Console:
        """The DUT's console and the board's shell."""
        from hil.dutlink.console.console import Console  # noqa: PLC0415 - a command that reads the meter does not need it
        from hil.dutlink.console.tty import uart_of  # noqa: PLC0415 - a command that reads the meter does not need it

        console = Console(
            self.serial,
            self._find_tty,
            uart_of(self.host.dev, self.serial),
            access=self._link.access,
            unpowered=self._dut_is_unpowered,
            switched_off=lambda: self.power.is_off,
            allowance=self._busy_with,
            find_stick=self._find_stick,
            unheard=lambda: self.power.unheard,
        )
        console.set_login(self._wiring.login)
        console.pace_s = self._wiring.pace_s
        return console

    @property
    def position(self) -> Position | None:
        """The storage position that this object set last; None if it set none."""
        return self.storage.position if "storage" in self.__dict__ else None

    def _find_stick(self) -> StickState:
        from hil.dutlink.dut.prompt import StickState  # noqa: PLC0415 - the console has loaded it

        position = self.position
        flashed = self.storage.flashed if "storage" in self.__dict__ else None
        return StickState(
            position.value if position is not None else "", flashed.image if flashed is not None else ""
        )

    def call_before_turn(self, function: Callable[[], None]) -> None:
        """Call `function` before each turn of the mux, since the process may be killed during the turn."""
        self._before_turn = function

    @property
    def stored_name(self) -> str | None:
        """The board's stored name, as this object read it last; None if it has not read it."""
        last_read = self.settings.last_read if "settings" in self.__dict__ else None
        return last_read.name if last_read is not None else None

    @property
    def label(self) -> str:
        """Its name for messages: place in the lab file, or `sim-1`; else `board` and its serial number."""
        return self._name or f"board {self.serial}"

    @property
    def _name(self) -> str:
        return self._wiring.name or self.host.name_of(self.serial)

    @property
    def requests(self) -> LastRequests:
        """The last requests to the board, with their outcome."""
        return self._link.requests

    @property
    def busy_s(self) -> float:
        """Seconds for which a power sequence that this object started may still run."""
        return self._link.busy_s

    @property
    def location(self) -> str:
        """Bus and address of the board when it was opened, in the words of `ProbeResult.location`."""
        return self._link.location

    def is_reachable(self) -> bool:
        """Return False if the device that was opened has left the bus; a silent one is reachable.

        A board that left the bus and came back is a new device, which this object cannot reach.
        """
        return self._link.is_reachable()

    def answers(self, limit_s: float) -> bool:
        """Return True if the board answers in time; the request does not count as a test's."""
        try:
            with uncounted():
                self._link.wait_ready(limit_s)
        except HilError:
            return False
        return True

    def make_safe(self, *, leave_stick: bool = False) -> None:
        """Force the supply off, detach the stick, leave all pins floating, and restore console mode.

        The stick is detached even if a program of this host uses it; `storage.taken_from` then names the
        program. An open console is brought back to console mode last, since that disturbs no DUT then.

        Args:
            leave_stick: Leave the stick where it is.

        Raises:
            Exception: The first error, which is a HilError unless a test has changed these objects. All steps
                are tried, even after an error.
        """
        make_board_safe(self, leave_stick=leave_stick)

    def wait_until_up(self, timeout_s: float | None = None) -> Expected:
        """Wait until the DUT's console shows that it is up, and return the match.

        The pattern is the lab file's `up`, else a login prompt. Only bytes since this object last switched
        the supply on count, and `expect` and `login` still find them.

        Args:
            timeout_s: How long to wait, in seconds; None: the lab file's `up_timeout_s`, else 120.

        Raises:
            ExpectError: No match came in time; the error has the last line that came.
            BootLoaderError: The DUT waits at the prompt of its boot loader.
            BoardFaultError: The DUT is switched off.
            ConsoleError: The console cannot be used.
        """
        from hil.dutlink.dut.login_questions import LOGIN_PROMPT  # noqa: PLC0415 - the console has loaded it

        if self.power.is_off:
            raise BoardFaultError(
                f"the DUT of board {self.serial} cannot come up",
                why="it is switched off",
                remedy="power.on()",
                serial=self.serial,
            )
        limit_s = self._wiring.up_timeout_s if timeout_s is None else timeout_s
        return self.console.wait_for_pattern(self._wiring.up or LOGIN_PROMPT, self._boot_begin, limit_s)

    @property
    def access(self) -> Access:
        """Permission to use the board, which every transfer checks."""
        return self._link.access

    @property
    def safe_requests(self) -> SafeRequests:
        """The requests that make the board safe, without the methods that a test can replace."""
        return self._link.safe_requests

    def close_with(self, release: Callable[[], None]) -> None:
        """Let `close` call `release`, which makes the board safe, closes it and ends its lease."""
        self._release = release

    def close(self) -> None:
        """Close console and board; later uses of this object raise `LeaseEndedError`.

        A board that a program opened by `hil.open_board` is made safe, and its lease ends. Otherwise power,
        storage and pins stay as they are.

        Raises:
            HilError: The board was to be made safe, and that failed: its guard goes on.
        """
        release, self._release = self._release, None
        if release is not None:
            release()
            return
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
        """Detach the stick even if a program uses it, since a later test could write to it otherwise."""
        self.storage.off(force=True)
        if self.storage.taken_from:
            logger.warning(
                "board %s: the stick was taken away although %s", self.serial, self.storage.taken_from
            )

    def _settle_console(self) -> None:
        if self.power.cut:
            from hil.dutlink.console.console import Console  # noqa: PLC0415 - few commands use the console

            Console.ensure_console_mode(self.console)

    def _record(self, event: PowerEvent | ResetEvent) -> None:
        """Record in the console's transcript what is done to the DUT."""
        mark = self.console.transcript.mark(str(event), starts_dut=event.starts_dut)
        if isinstance(event, PowerEvent) and event.starts_dut:
            self._boot_begin = mark.position

    def _find_tty(self) -> Tty:
        """Return the console's tty; the board's setting is read only if the wiring names none."""
        from hil.dutlink.console.tty import find_tty  # noqa: PLC0415 - few commands use the console

        usb_console = "" if self._wiring.console else self.settings.read().usb_console
        return find_tty(self.host.dev, self.serial, usb_console, self._wiring)

    def _dut_is_unpowered(self) -> bool:
        """Return True if the DUT certainly has no power: it was cut, or the DUT draws no current."""
        if self.power.cut:
            return True
        with suppress(HilError):
            return not self.power.draws()
        return False

    def _busy_with(self, command: str) -> float:
        """Return for how many seconds a command of the board's shell may keep it busy, by its power sequence.

        Wait for a sequence that still runs first, since the shell would not answer.
        """
        self._link.wait_idle()
        if command.split()[:1] == ["storage"]:
            self.storage.forget()
        if command.split()[:1] == ["power"]:
            self.power.forget()
        key = _POWER_SETTINGS.get(command.strip())
        if key is None:
            return 0.0
        return self._link.set_busy(stored_duration_s(self._link.read_setting(key)))


# The functions as they are now: a test may replace them in the classes later.
_force_off, _float_all = Power.force_off, Pins.float_all
_take_stick, _settle_console = Board._take_stick, Board._settle_console  # noqa: SLF001


def make_board_safe(board: Board, *, leave_stick: bool = False) -> SafeProof:
    """Do what `Board.make_safe` does, and return the proof that the board accepted each request.

    It does not matter which methods of the driver a test has replaced, in objects or in classes: see
    `SafeRequests`.

    Args:
        board: The board.
        leave_stick: Leave the stick where it is.

    Raises:
        Exception: As `Board.make_safe`.
    """
    requests, errors = board.safe_requests, list[Exception]()
    requests.forget()
    take_stick = () if leave_stick else (partial(_take_stick, board),)
    for step in (
        partial(_force_off, board.power),
        *take_stick,
        partial(_float_all, board.pins),
        partial(_settle_console, board),
    ):
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a test may have broken what the step needs
            errors.append(error)
    if not any(isinstance(error, HilError) for error in errors):  # the board answers
        proof = requests.complete(leave_stick=leave_stick)
    if errors:
        raise errors[0]
    return proof


def open_driver(
    host: Host,
    serial: str | None = None,
    wiring: Wiring | None = None,
    *,
    limit_s: float = ANSWER_LIMIT_S,
    console: bool = True,
) -> Board:
    """Open a board whose lease the caller has. Programs call `hil.open_board`, which leases the board first.

    In a run, only a board that this process holds can be opened.

    Args:
        host: Where it is plugged in.
        serial: Its serial number; None: the first board that can be used.
        wiring: Its surroundings, from the lab file.
        limit_s: Seconds for which it may be silent at first, since it may be running a power sequence of
            another program.
        console: Open the console too, so that none of the DUT's output is missed. If that is not possible,
            the first use of the console raises the error.

    Raises:
        NoUsbBackendError, BoardAbsentError, BoardInBootLoaderError, BoardDeniedError, BoardBusyError,
            BoardLostError: The board cannot be used.
        FirmwareTooOldError: Its firmware is older than this driver needs.
        NotLeasedError: This process belongs to a run, and does not hold the board.
    """
    probed = open_link(host, serial or held_boards.default_for(host), limit_s)
    link, firmware = probed.link, probed.result.firmware
    if link is None or firmware is None:
        raise probed.result.error or HilError(f"board {serial} cannot be opened")
    try:
        held_boards.admit(host, link.access)
    except HilError:
        probed.release()
        raise
    board = Board(link, firmware, host, wiring or Wiring())
    if console:
        with suppress(HilError):  # the first use tries again, and raises the error
            board.console.open(wait_s=0.0)
    return board


def open_twins(host: Host, serial: str, limit_s: float = ANSWER_LIMIT_S) -> list[Board]:
    """Open all boards with this serial number, to make them safe; nothing else is done to such boards.

    Args:
        host: Where they are plugged in.
        serial: Their serial number.
        limit_s: Seconds for which each may be silent at first.

    Raises:
        HilError: One of them cannot be opened; the others were closed.
    """
    probed = open_twin_links(host, serial, limit_s)
    with ExitStack() as undone:
        for one in probed:
            undone.callback(one.release)
        for one in probed:
            if one.result.error is not None:
                raise one.result.error
        undone.pop_all()
    return [
        Board(one.link, one.result.firmware, host, Wiring())
        for one in probed
        if one.link and one.result.firmware
    ]
