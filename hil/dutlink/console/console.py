"""The DUT's console: send, expect, the transcript of every byte, and the way to the board's shell."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from hil.dutlink.console.allowlist import ExpectedTrouble
from hil.dutlink.console.board_shell import check_command
from hil.dutlink.console.console_mode import ConsoleMode
from hil.dutlink.console.expect import Expecter
from hil.dutlink.console.expect_error import LAST_BYTES, Waited
from hil.dutlink.console.port import ConsolePort
from hil.dutlink.console.transcript import Transcript
from hil.dutlink.dut.boot_wait import wait_for_words
from hil.dutlink.dut.command import CommandResult, run_command
from hil.dutlink.dut.login import credentials, log_in
from hil.dutlink.dut.prompt import PROMPT
from hil.dutlink.dut.secret import Secret
from hil.dutlink.dut.shown_prompt import ShownPrompt
from hil.dutlink.noun import Noun
from hil.dutlink.timing import Deadline, outer_limit, sleep, until
from hil.dutlink.usb.access import Access
from hil.dutlink.usb.request_count import count_request
from hil.errors import ExpectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from hil.dutlink.console.board_shell import ShellAnswer
    from hil.dutlink.console.expect import Expected, Pattern
    from hil.dutlink.console.tty import Tty
    from hil.dutlink.wiring import Login

__all__ = ["Console"]

_NODE_LIMIT_S = 3.0


class Console(Noun):
    """The DUT's console.

    It opens by itself when it is first used, and then is drained until it is closed: open it before the DUT
    gets power, or the start of the boot log is lost.

    The board may have been left in its shell, where the DUT's output is dropped. It tells nobody, and can
    only be asked by bytes that would reach the DUT if it was not. So the console finds out, and goes back to
    console mode, when that disturbs nobody: on opening, if the DUT has no power; else once the DUT is made
    safe, or just before the first bytes are sent to it. Whoever wants it sooner calls
    `restore_console_mode()`. A console of the DUT's own (by wiring, or the board's `usb_console` setting)
    has no such modes.

    Args:
        serial: The board's serial number.
        find: Tells which tty it is, when it is opened.
        uart: The board's own tty, where the shell is.
        access: Permission to use the board; None: this console's own.
        unpowered: Tells whether the DUT is without power for certain.
        switched_off: Tells, without asking the board, whether its user switched the DUT off.
        allowance: Tells how many seconds a shell command may keep the board busy.

    Attributes:
        transcript: Every byte, with times and notes.
        trouble: Which kernel panics and the like a test expects.
        closing: Called when it is closed, for listeners of the transcript.
        pace_s: Seconds between two bytes that are sent, for a DUT that loses characters; 0 sends at once.
        prompt: The prompt of the DUT's shell, for `run`.
    """

    transcript: Transcript
    trouble: ExpectedTrouble
    closing: list[Callable[[], None]]
    pace_s: float
    prompt: Pattern

    def __init__(  # noqa: PLR0913 - the last four are the board's
        self,
        serial: str,
        find: Callable[[], Tty],
        uart: Tty,
        *,
        access: Access | None = None,
        unpowered: Callable[[], bool] = lambda: False,
        switched_off: Callable[[], bool] = lambda: False,
        allowance: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self.transcript = Transcript()
        self.trouble = ExpectedTrouble(self.transcript)
        self.closing = []
        self.pace_s = 0.0
        self.prompt = PROMPT
        self._shown_prompt = ShownPrompt()
        self._account: Login | None = None
        self._serial = serial
        self._access = access or Access(serial)
        self._find = find
        self._unpowered = unpowered
        self._switched_off = switched_off
        self._mode = ConsoleMode(serial, uart, self.transcript, allowance)
        self._port: ConsolePort | None = None
        self._expecter: Expecter | None = None

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Console of board {self._serial}, {state}, {self.transcript.position} bytes came>"

    def know(self, account: Login | None) -> None:
        """Take the account that `login` uses by itself, and its prompt."""
        self._account = account
        if account is not None and account.prompt is not None:
            self.prompt = account.prompt

    @property
    def serial(self) -> str:
        """The board's serial number."""
        return self._serial

    @property
    def dut_is_off(self) -> bool:
        """Whether the DUT was switched off through this board's object; the board is not asked."""
        return self._switched_off()

    @property
    def is_open(self) -> bool:
        """Whether the tty is open (it may have gone away since)."""
        return self._port is not None

    @property
    def tty(self) -> Tty:
        """The tty that is open, or would be opened."""
        return self._port.tty if self._port is not None else self._find()

    def open(self, wait_s: float = _NODE_LIMIT_S) -> Self:
        """Open the tty and begin to drain it; anew if it went away; harmless if it is open.

        Args:
            wait_s: How long to wait for its node: udev needs a moment after a board was plugged in.

        Raises:
            ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: It cannot be opened.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        count_request(self._serial)
        if self._port is not None and self._port.lost:
            self.close()
        if self._port is None:
            self._start(wait_s)
        return self

    def close(self) -> None:
        """Stop draining and close the tty; the transcript stays."""
        port, self._port, self._expecter = self._port, None, None
        if port is not None:
            port.close()
        for call in self.closing:
            call()

    def check(self) -> None:
        """Raise what there is to say about an open console that went away.

        Raises:
            ConsoleLostError: It did.
        """
        if self._port is not None and self._port.lost:
            raise self._port.lost_error()

    def catch_up(self) -> None:
        """Have every byte that already came to this host in the transcript; harmless if it is not open."""
        if self._port is not None:
            self._port.catch_up()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def settle(self) -> None:
        """Make sure that the board is in console mode, if that is open to doubt; never raises.

        If the DUT has power, five Ctrl-B reach it.
        """
        if self._port is not None:
            self._mode.settle(self._port)

    def restore_console_mode(self) -> None:
        """Bring the board into console mode; a DUT with power gets five Ctrl-B for it.

        Raises:
            ShellError: It does not react.
        """
        self._mode.restore(self._opened())

    def send(self, data: bytes | str, pace_s: float | None = None) -> None:
        """Send bytes (text as UTF-8) to the DUT; returns when the tty has taken all of them.

        Args:
            data: What to send.
            pace_s: Seconds between two bytes; None: as the console's `pace_s` says.

        Raises:
            ConsoleLostError: The tty went away.
        """
        port = self._opened()
        self._mode.settle(port)
        self._mode.doubtful = False  # once is enough: asking again and again would disturb the DUT
        data = _as_bytes(data)
        pause_s = self.pace_s if pace_s is None else pace_s
        size = 1 if pause_s > 0 else max(1, len(data))
        for begin in range(0, len(data), size):
            port.write(data[begin : begin + size])
            sleep(pause_s)

    def sendline(
        self, line: bytes | str = b"", end: bytes | str = b"\r", pace_s: float | None = None
    ) -> None:
        """Send a line as a terminal does: the Enter key is CR; `pace_s` as in `send`."""
        self.send(_as_bytes(line) + _as_bytes(end), pace_s)

    def expect(self, pattern: Pattern | Sequence[Pattern], timeout_s: float = 30.0) -> Expected:
        """Wait until the DUT says something, and return the match.

        Patterns are regular expressions, text or bytes; of several, the one that comes first. What came
        before the call counts too, unless it was matched or discarded.

        Raises:
            ExpectError: It did not come in time; says what came instead.
            ConsoleLostError: The tty went away.
        """
        port = self._opened()
        with _before_the_test_ends(timeout_s) as limit_s:
            began = Deadline(limit_s)
            outcome = self._expecting(port).wait_for(pattern, limit_s)
            expected = self._come(outcome, pattern, began.spent_s)
        self.trouble.matched(expected.match)
        return expected

    @contextmanager
    def expecting_trouble(self, *words: str) -> Iterator[None]:
        """Let the DUT panic, or the like, in this block, without failing the test for it.

        Args:
            words: Regular expressions, such as `panic`; none: any trouble.
        """
        self.catch_up()
        with self.trouble.announced(words):
            yield
            self.catch_up()

    def login(
        self,
        user: str | None = None,
        password: str | None = None,
        prompt: Pattern | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        """Log in to the DUT unless a shell is there already; return at the shell's prompt.

        Where a system has been silent for two seconds, Enter asks for whatever it waits for. Nothing is typed
        before a system has spoken (a kernel, a login prompt), since any key stops a boot loader's countdown;
        only a DUT that has said nothing for ten seconds, or half of the time limit, is given Enter too.

        Args:
            user: Its name there; None: the one that the lab file has for this place.
            password: Sent if it is asked for; None: the lab file's for that user, else an empty one.
            prompt: The shell's prompt, kept for `run`; None: `# ` or `$ `, as the console's `prompt` says.
            timeout_s: Seconds for all of it, the DUT's boot included.

        Raises:
            ExpectError: Neither a login prompt nor the shell's came in time.
            BootLoaderError: The DUT waits at the prompt of its boot loader.
            ConsoleError: User or password were refused, or the DUT asks for more than these.
            UsageError: No user is given, and the lab file has none.
        """
        password = None if password is None else Secret(password)
        user, password = credentials(self._account, self._serial, user, password)
        self.prompt = self.prompt if prompt is None else prompt
        with _before_the_test_ends(timeout_s) as limit_s:
            log_in(self, user, password, limit_s)
        self.transcript.shell.system_answered(self.transcript.position)
        self._shown_prompt.forget()

    def run(self, command: str, timeout_s: float = 30.0) -> CommandResult:
        """Run a command in the DUT's shell, and wait for its end.

        Args:
            command: One line or several, as in a script; here-documents as well.
            timeout_s: Seconds that it may take.

        Returns:
            Exit status and output.

        Raises:
            ExpectError: It did not end in time, it ended the shell, or there is no shell.
            ConsoleError: It printed more than the transcript keeps.
            UsageError: The command is empty or holds control characters.
        """
        with _before_the_test_ends(timeout_s) as limit_s:
            return run_command(self, self._shown_prompt, command, limit_s)

    def wait_for_words(self, pattern: Pattern, begin: int, timeout_s: float) -> Expected:
        """Wait for a pattern in all that came since position `begin` of the transcript.

        Unlike `expect` it takes nothing away: what it finds is still there for `expect` and `login`.

        Raises:
            ExpectError: It did not come in time; says what came instead.
            ConsoleLostError: The tty went away.
            UsageError: That is no pattern.
        """
        port = self._opened()
        with _before_the_test_ends(timeout_s) as limit_s:
            began = Deadline(limit_s)
            outcome = wait_for_words(self.transcript, begin, pattern, limit_s, lambda: port.lost)
            return self._come(outcome, pattern, began.spent_s)

    def unread(self) -> bytes:
        """Return what came and was not matched yet: where the next `expect` begins to look."""
        return self._expecting(self._opened()).unread()

    def discard(self) -> None:
        """Forget what came so far, for `expect` only: before a power cycle, the old login prompt counts."""
        port = self._opened()
        port.catch_up()
        self._expecting(port).forget()

    def shell(self, command: str, timeout_s: float = 5.0) -> ShellAnswer:
        """Run a command at the board's own prompt, then go back to console mode.

        What the DUT says meanwhile is lost, and five Ctrl-B reach it. An answer ends at 512 bytes.

        Args:
            command: One line, such as `meter read`.
            timeout_s: Seconds for the answer; a power command's sequence comes on top of it.

        Raises:
            ShellError: No usable answer.
            UsageError: The command is not one line of printable ASCII.
        """
        check_command(command)
        return self._mode.ask(self._opened(), command, timeout_s)

    def _opened(self) -> ConsolePort:
        self._access.check()
        count_request(self._serial)
        return self._port or self._start(_NODE_LIMIT_S)

    def _start(self, wait_s: float) -> ConsolePort:
        tty = self._find()
        until(tty.path.exists, wait_s)
        self._port = port = ConsolePort(tty, self._serial, self.transcript, self._access)
        self.transcript.mark(f"console {tty.path} is open")
        self._mode.doubtful = tty.is_board
        if tty.is_board and self._unpowered():
            self._mode.settle(port)
        return port

    def _expecting(self, port: ConsolePort) -> Expecter:
        if self._expecter is None:
            self._expecter = Expecter(port.stream)
        return self._expecter

    def _come(
        self, outcome: Expected | bytes, pattern: Pattern | Sequence[Pattern], waited_s: float
    ) -> Expected:
        """Return what came, or raise why it did not; `outcome` is then what came last."""
        if not isinstance(outcome, bytes):
            return outcome
        self._access.check()
        self.check()
        before = self.transcript.between(self.transcript.position - LAST_BYTES)
        waited = Waited(pattern, waited_s, self._serial, dut_is_off=self.dut_is_off)
        raise waited.in_vain(outcome, before, maybe_in_shell=self._mode.doubtful)


@contextmanager
def _before_the_test_ends(timeout_s: float) -> Iterator[float]:
    """Yield how long to wait: not until the test's own limit strikes, which could tell less."""
    limit_s = outer_limit.cut(timeout_s)
    try:
        yield limit_s
    except ExpectError as error:
        if limit_s < timeout_s:
            error.remedy = (
                f"@pytest.mark.timeout(...): the test's own time limit leaves less than {timeout_s:g} s"
            )
        raise


def _as_bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
