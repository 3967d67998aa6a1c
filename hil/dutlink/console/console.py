"""The DUT's console: send, expect, log in, run commands, and the transcript of every byte."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Self

from hil.dutlink.console.allowlist import ErrorAllowlist
from hil.dutlink.console.board_shell import check_command
from hil.dutlink.console.connection import NODE_LIMIT_S, ConsoleConnection
from hil.dutlink.console.expect import wait_for_pattern
from hil.dutlink.console.expect_error import LAST_BYTES, SWITCH_ON, expect_timeout_error
from hil.dutlink.console.transcript import Transcript
from hil.dutlink.dut.account import Secret
from hil.dutlink.dut.command import CommandResult, run_command
from hil.dutlink.dut.loader_prompt import check_loader_prompt, explain_loader, newest_bytes
from hil.dutlink.dut.login import credentials, log_in
from hil.dutlink.dut.prompt import PROMPT, PromptTracker, StickState
from hil.dutlink.noun import Noun
from hil.dutlink.timing import Deadline, outer_limit, sleep
from hil.dutlink.usb.access import Access
from hil.errors import BootLoaderError, ExpectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from hil.dutlink.console.board_shell import ShellAnswer
    from hil.dutlink.console.expect import Expected
    from hil.dutlink.console.tty import Tty
    from hil.dutlink.dut.account import Login
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["Console"]


class Console(Noun):
    """The DUT's console.

    It opens by itself when it is first used, and a thread then reads it until it is closed. Open it before
    the DUT gets power, or the start of the boot log is lost.

    A board that was left in its shell drops the DUT's output. The console brings such a board back to console
    mode when that disturbs no DUT: on opening if the DUT has no power, when the DUT is made safe, or just
    before the first bytes are sent; `restore_console_mode()` does so at once. A console of the DUT's own (by
    wiring, or by the board's `usb_console` setting) has no such mode.

    Args:
        serial: The board's serial number.
        find: Returns the console's tty; called at each opening.
        uart: The board's own tty, where its shell is.
        access: Permission to use the board; None: this console's own.
        unpowered: Returns True if the DUT certainly has no power.
        switched_off: Returns True if the test switched the DUT off; the board is not asked.
        allowance: Returns for how many seconds a shell command may keep the board busy.
        find_stick: Returns what is known of the DUT's stick.
        unheard: Returns a sentence if the DUT's first output is lost, because of a power sequence.

    Attributes:
        transcript: Every byte, with times and notes.
        error_allowlist: The kernel panics and other errors that the present test allows.
        on_close: Functions that are called when it is closed, for listeners of the transcript.
        pace_s: Seconds between two bytes that are sent, for a DUT that loses characters; 0 sends at once.
        prompt: The pattern of the DUT's shell prompt, for `run`.
    """

    transcript: Transcript
    error_allowlist: ErrorAllowlist
    on_close: list[Callable[[], None]]
    pace_s: float
    prompt: Pattern

    def __init__(  # noqa: PLR0913 - the last five are the board's
        self,
        serial: str,
        find: Callable[[], Tty],
        uart: Tty,
        *,
        access: Access | None = None,
        unpowered: Callable[[], bool] = lambda: False,
        switched_off: Callable[[], bool] = lambda: False,
        allowance: Callable[[str], float] = lambda _: 0.0,
        find_stick: Callable[[], StickState] = StickState,
        unheard: Callable[[], str] = str,
    ) -> None:
        self.transcript = Transcript()
        self.error_allowlist = ErrorAllowlist(self.transcript)
        self.on_close = []
        self.pace_s = 0.0
        self.prompt = PROMPT
        self._prompt_tracker = PromptTracker()
        self._account: Login | None = None
        self._serial = serial
        self._access = access or Access(serial)
        self._switched_off = switched_off
        self._find_stick = find_stick
        self._unheard = unheard
        self._connection = ConsoleConnection(
            serial, find, uart, self.transcript, self._access, unpowered, allowance
        )

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Console of board {self._serial}, {state}, {self.transcript.position} bytes came>"

    def set_login(self, account: Login | None) -> None:
        """Set the account that `login` uses without arguments, and its prompt."""
        self._account = account
        if account is not None and account.prompt is not None:
            self.prompt = account.prompt

    @property
    def serial(self) -> str:
        """The board's serial number."""
        return self._serial

    @property
    def stick(self) -> StickState:
        """What is known of the stick that the DUT boots from."""
        return self._find_stick()

    @property
    def dut_is_off(self) -> bool:
        """Whether the DUT was switched off through this board's object; the board is not asked."""
        return self._switched_off()

    @property
    def is_open(self) -> bool:
        """Whether the tty is open; it may have gone away since it was opened."""
        return self._connection.is_open

    @property
    def tty(self) -> Tty:
        """The tty that is open, or that would be opened."""
        return self._connection.tty

    def open(self, wait_s: float = NODE_LIMIT_S) -> Self:
        """Open the tty and start reading it. Open it again if it went away; harmless if it is open.

        Args:
            wait_s: How long to wait for its node: udev needs a moment after a board was plugged in.

        Raises:
            ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: The tty cannot be opened.
            LeaseEndedError: The board's lease has ended.
        """
        if self._connection.is_lost:
            self.close()
        self._connection.open(wait_s)
        return self

    def close(self) -> None:
        """Stop reading and close the tty; the transcript stays."""
        self._connection.close()
        for call in self.on_close:
            call()

    def check(self) -> None:
        """Check that the console did not go away while it was open.

        Raises:
            ConsoleLostError: The console went away.
        """
        self._connection.check()

    def drain(self) -> None:
        """Have every byte that came to this host in the transcript; harmless if the console is not open."""
        self._connection.drain()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ensure_console_mode(self) -> None:
        """Bring the board to console mode if its mode is uncertain; errors are ignored.

        A DUT that has power receives five Ctrl-B.
        """
        self._connection.ensure_console_mode()

    def restore_console_mode(self) -> None:
        """Bring the board to console mode; a DUT that has power receives five Ctrl-B.

        Raises:
            ShellError: The board does not react.
        """
        self._connection.restore_console_mode()

    def send(self, data: bytes | str | Secret, pace_s: float | None = None) -> None:
        """Send bytes (text as UTF-8) to the DUT; return when the tty has taken all of them.

        Args:
            data: The bytes or text.
            pace_s: Seconds between two bytes; None: the console's `pace_s`.

        Raises:
            ConsoleLostError: The tty went away.
        """
        port = self._connection.open()
        self._connection.ensure_console_mode()
        self._connection.mode_is_uncertain = False  # trying again before each byte would disturb the DUT
        data = _as_bytes(data)
        pause_s = self.pace_s if pace_s is None else pace_s
        size = 1 if pause_s > 0 else max(1, len(data))
        for begin in range(0, len(data), size):
            port.write(data[begin : begin + size])
            sleep(pause_s)

    def sendline(
        self, line: bytes | str | Secret = b"", end: bytes | str = b"\r", pace_s: float | None = None
    ) -> None:
        """Send a line as a terminal does: the Enter key is CR; `pace_s` as in `send`."""
        self.send(_as_bytes(line) + _as_bytes(end), pace_s)

    def expect(self, pattern: Pattern | Sequence[Pattern], timeout_s: float = 30.0) -> Expected:
        """Wait until the DUT prints something that matches, and return the match.

        Patterns are regular expressions, text or bytes; of several, the earliest match counts. Bytes that
        came before the call count too, unless they were matched or discarded.

        Raises:
            ExpectError: No match came in time; the error has the last line that came.
            ConsoleLostError: The tty went away.
        """
        expecter = self._connection.expecter()
        with _before_the_test_ends(timeout_s) as limit_s:
            began = Deadline(limit_s)
            outcome = expecter.wait_for(pattern, limit_s)
            expected = self._matched(outcome, pattern, began.spent_s)
        self.error_allowlist.add_match(expected.match)
        return expected

    @contextmanager
    def allow_errors(self, *words: str) -> Iterator[None]:
        """Let the DUT print kernel panics and other errors in this block without failing the test.

        Args:
            words: Regular expressions, such as `panic`, for the errors; none: any error.
        """
        self.drain()
        with self.error_allowlist.allow(words):
            yield
            self.drain()

    def expecting_trouble(self, *words: str) -> AbstractContextManager[None]:
        """Do what `allow_errors` does; the name until 0.1."""
        warnings.warn("expecting_trouble is now allow_errors", DeprecationWarning, stacklevel=2)
        return self.allow_errors(*words)

    def login(
        self,
        user: str | None = None,
        password: str | Secret | None = None,
        prompt: Pattern | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        """Log in to the DUT unless a shell is there already; return at the shell's prompt.

        After two seconds of silence, a system gets Enter, to make it print its prompt. A boot loader gets no
        byte, since any key stops its countdown: nothing is sent until a kernel or a login prompt has come. A
        DUT that prints nothing at all gets Enter after ten seconds, or after half of the time limit.

        Args:
            user: The user's name on the DUT; None: the one in the lab file.
            password: Sent if the DUT asks for it; None: the one in the lab file for that user, else an empty
                one.
            prompt: The pattern of the shell's prompt, kept for `run`; None: the console's `prompt`.
            timeout_s: Seconds for all of it, the DUT's boot included.

        Raises:
            ExpectError: Neither a login prompt nor the shell's came in time.
            BootLoaderError: The DUT waits at the prompt of its boot loader.
            ConsoleError: The DUT refused user or password, or asks for something else.
            UsageError: No user is given, and the lab file has none.
        """
        password = None if password is None else Secret(password)
        user, password = credentials(self._account, self._serial, user, password)
        self.prompt = self.prompt if prompt is None else prompt
        with _before_the_test_ends(timeout_s) as limit_s:
            log_in(self, user, password, limit_s)
        self.transcript.shell.system_answered(self.transcript.position)
        self._prompt_tracker.forget()

    def run(self, command: str, timeout_s: float = 30.0) -> CommandResult:
        """Run a command in the DUT's shell, wait for its end, and return its exit status and output.

        Args:
            command: One line or several, as in a script; here-documents as well.
            timeout_s: Seconds that it may take.

        Raises:
            ExpectError: The command did not end in time, it ended the shell, or there is no shell.
            ConsoleError: The command printed more than the transcript keeps.
            UsageError: The command is empty or holds control characters.
        """
        with _before_the_test_ends(timeout_s) as limit_s:
            return run_command(self, self._prompt_tracker, command, limit_s)

    def wait_for_pattern(self, pattern: Pattern, begin: int, timeout_s: float) -> Expected:
        """Wait for a pattern in all bytes since position `begin` of the transcript.

        Unlike `expect` it consumes nothing: `expect` and `login` find the same bytes.

        Raises:
            ExpectError: No match came in time; the error has the last line that came.
            BootLoaderError: The DUT waits at the prompt of its boot loader.
            ConsoleLostError: The tty went away.
            UsageError: The pattern is not a regular expression.
        """
        port = self._connection.open()
        with _before_the_test_ends(timeout_s) as limit_s:
            began = Deadline(limit_s)
            outcome = wait_for_pattern(
                self.transcript,
                begin,
                pattern,
                limit_s,
                lambda: port.lost,
                check_silent=lambda: check_loader_prompt(self, newest_bytes(self.transcript, begin)),
            )
            return self._matched(outcome, pattern, began.spent_s, of_boot=True)

    def unread(self) -> bytes:
        """Return the bytes that came and were not matched yet: the next `expect` searches them first."""
        return self._connection.expecter().unread()

    def discard(self) -> None:
        """Make `expect` ignore the bytes that came so far, such as a login prompt before a power cycle."""
        expecter = self._connection.expecter()
        self._connection.drain()
        expecter.discard()

    def shell(self, command: str, timeout_s: float = 5.0) -> ShellAnswer:
        """Run a command at the board's own prompt, then go back to console mode.

        The DUT's output is lost until then, and the DUT receives five Ctrl-B. An answer ends at 512 bytes.

        Args:
            command: One line, such as `meter read`.
            timeout_s: Seconds for the answer; the sequence of a power command gets its time in addition.

        Raises:
            ShellError: No usable answer came.
            UsageError: The command is not one line of printable ASCII.
        """
        check_command(command)
        return self._connection.run_shell_command(command, timeout_s)

    def _matched(
        self,
        outcome: Expected | bytes,
        pattern: Pattern | Sequence[Pattern],
        waited_s: float,
        *,
        of_boot: bool = False,
    ) -> Expected:
        """Return the match, or raise the error if `outcome` is the bytes of a wait without one."""
        if not isinstance(outcome, bytes):
            return outcome
        self._access.check()
        self.check()
        error = expect_timeout_error(
            pattern,
            outcome,
            self.transcript.between(self.transcript.position - LAST_BYTES),
            seconds=waited_s,
            serial=self._serial,
            dut_is_off=self.dut_is_off,
            unheard=self._unheard() if of_boot or not newest_bytes(self.transcript).strip() else "",
            maybe_in_shell=self._connection.mode_is_uncertain,
        )
        raise explain_loader(self, error)


@contextmanager
def _before_the_test_ends(timeout_s: float) -> Iterator[float]:
    """Yield a time limit that ends before the test's own, so that the error names the awaited pattern."""
    limit_s = outer_limit.cut(timeout_s)
    try:
        yield limit_s
    except ExpectError as error:
        is_late = not isinstance(error, BootLoaderError) and error.remedy != SWITCH_ON  # else time is no help
        if limit_s < timeout_s and is_late:
            whole = f"{outer_limit.whole_s:g}"
            error.remedy = (
                f"raise @pytest.mark.timeout({whole}): the test's own time limit of {whole} s leaves less "
                f"than the {timeout_s:g} s that this may take"
            )
        raise


def _as_bytes(text: bytes | str | Secret) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
