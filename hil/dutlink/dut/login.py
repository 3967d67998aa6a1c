"""Log in to the DUT: choose the account, and answer the questions on its console."""

from __future__ import annotations

import enum
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.expect_error import PATTERN_ADVICE, describe_last_line
from hil.dutlink.console.sanitize import sanitize_text
from hil.dutlink.dut.account import Secret
from hil.dutlink.dut.boot_stage import Stage, may_press_enter, stage_of
from hil.dutlink.dut.loader_prompt import LINE_BYTES, check_loader_prompt, newest_bytes
from hil.dutlink.dut.login_questions import LOGIN_PROMPT, PASSWORD, Question, question_in, waits_for_answer
from hil.dutlink.dut.prompt import PROMPT, describe_prompt, nothing_follows, pattern_at_end
from hil.dutlink.dut.shell_escapes import last_line
from hil.dutlink.timing import Deadline
from hil.errors import BootLoaderError, ConsoleError, ExpectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.console.expect import Expected
    from hil.dutlink.dut.account import Login
    from hil.dutlink.dut.prompt import DutConsole
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["LOGIN_PROMPT", "credentials", "log_in"]

QUIET_S: Final = 2.0
"""Seconds after which a silent system is assumed to wait for Enter."""

UNKNOWN_QUESTION_S: Final = 5.0
"""Seconds after which an unfinished line counts as a question, even if it is not a known one."""

_NEVER_QUIET_S: Final = 10.0
"""Seconds of output after a prompt after which Enter is sent to get another prompt."""

_MAINTENANCE: Final = pattern_at_end(rb"(?:for maintenance|Control-D)[^\n]*: ?")
_REFUSED: Final = re.compile(rb"[Ll]ogin incorrect|[Aa]uthentication failure|[Pp]ermission denied")


class _Prompt(enum.IntEnum):
    """What the DUT may print, in the order of the patterns that are waited for."""

    PROMPT = 0
    LOGIN = 1
    PASSWORD = 2
    REFUSED = 3


def credentials(
    account: Login | None, serial: str, user: str | None, password: str | Secret | None
) -> tuple[str, Secret]:
    """Return the user and the password to log in with.

    Args:
        account: The account in the lab file, or None.
        serial: The board's serial number, for errors.
        user: The user's name; None: the one in the lab file.
        password: The password; None: the one in the lab file for that user, else an empty one.

    Raises:
        UsageError: No user is given, and the lab file has none.
    """
    user = account.user if user is None and account else user
    if user is None:
        raise UsageError(
            f"nothing says who logs in to the DUT of board {serial}",
            why="no user was given, and the lab file has none for its place",
            remedy='login("root", "..."), or login = { user = "root", password = "..." } in lab.toml',
            serial=serial,
        )
    if password is None:
        password = account.password if account and account.user == user else ""
    return user, Secret(password)


def log_in(console: DutConsole, user: str, password: Secret, timeout_s: float) -> None:
    """Answer the DUT's questions until the shell's prompt comes; see `Console.login`.

    A match counts as a question only if no output follows it, since boot logs and messages of the day contain
    `# ` and `login: ` too.

    Raises:
        ExpectError: No prompt came in time.
        BootLoaderError: The DUT waits at the prompt of its boot loader.
        ConsoleError: The DUT refused user or password, or asks for something else.
    """
    deadline, missing = Deadline(timeout_s), "login prompt"
    try:
        said = _first_question(console, deadline)
        missing = f"shell prompt {describe_prompt(console.prompt)}"
        _answer(console, user, password, said, deadline)
    except BootLoaderError:
        raise
    except ExpectError as timeout:
        error = timeout
    else:
        return
    _check_boot_prompt(console)  # it explains the timeout better than the last line does
    raise ExpectError(
        f"no {missing} came within {deadline.spent_s:.1f} s, to log in as {user}",
        why=f"{_stage_words(console)}{error.why}",
        remedy="allow more time: timeout_s=..." if error.remedy in PATTERN_ADVICE else error.remedy,
        serial=error.serial,
    )


def _stage_words(console: DutConsole) -> str:
    if console.dut_is_off:
        return ""
    stage = stage_of(console.transcript, console.prompt)
    if stage is Stage.SYSTEM:
        return ""
    return f"since its last start the DUT printed {stage.value}, so Enter was pressed late or not at all; "


def _answer(console: DutConsole, user: str, password: Secret, said: _Prompt, deadline: Deadline) -> None:
    answers: list[tuple[_Prompt, str | Secret]] = [
        *[(_Prompt.LOGIN, user), (_Prompt.LOGIN, user)],
        (_Prompt.PASSWORD, password),
    ]
    words, position = b"", console.transcript.position
    # `answers` has the name twice: a getty that has just started may lose one.
    while said is not _Prompt.PROMPT:
        answer = next((answer for answer in answers if answer[0] is said), None)
        if _REFUSED.fullmatch(words):
            raise _refused_error(console.serial, user, words)
        question = question_in(last_line(console.transcript.between(position)))
        if said is _Prompt.PASSWORD and (answer is None or question is Question.NEW_PASSWORD):
            raise _unanswerable(console, user, position)
        if answer is None:
            raise _refused_error(console.serial, user, words)
        del answers[: answers.index(answer) + 1]
        position = console.transcript.position
        console.sendline(answer[1])
        said, words = _next_question(console, user, position, deadline)


def _first_question(console: DutConsole, deadline: Deadline) -> _Prompt:
    """Wait for the login prompt or the shell's; send Enter if a system is silent.

    A prompt that comes after Enter counts even if a kernel's message follows it.
    """
    wanted, passed_by, last, asked = [console.prompt, LOGIN_PROMPT], deadline, -1, False
    while deadline.left_s > QUIET_S:
        position = console.transcript.position
        came = None
        with suppress(ExpectError):
            came = console.expect(wanted, QUIET_S)
        if came is not None:
            last, passed_by = came.index, Deadline(_NEVER_QUIET_S)
            if nothing_follows(console):
                _check_boot_prompt(console)
                return _Prompt(last)
            continue
        is_quiet = console.transcript.position == position
        if is_quiet and asked and last >= 0:
            return _Prompt(last)
        if is_quiet:
            _check_unread(console)
        if is_quiet or passed_by.passed:
            if not may_press_enter(
                console.transcript, stage_of(console.transcript, console.prompt), deadline.limit_s
            ):
                continue
            passed_by, last, asked = deadline, -1, True
            console.sendline()
    return _Prompt(console.expect(wanted, deadline.left_s).index)


def _check_boot_prompt(console: DutConsole) -> None:
    """Raise BootLoaderError if the prompt that came looks like a shell's, but is a boot loader's."""
    check_loader_prompt(console, newest_bytes(console.transcript), is_named=console.prompt == PROMPT)


def _check_unread(console: DutConsole) -> None:
    """Raise an error if a silent DUT waits for something that `login` cannot answer."""
    unread = console.unread()[-LINE_BYTES:]
    check_loader_prompt(console, unread)
    if _MAINTENANCE.search(unread):
        raise ConsoleError(
            f"the DUT of board {console.serial} is in emergency mode, "
            "and asks for a password for maintenance",
            why=describe_last_line(console.serial, unread),
            remedy="mend what its boot log names; console.send() answers the question",
            serial=console.serial,
        )


def _next_question(console: DutConsole, user: str, begin: int, deadline: Deadline) -> tuple[_Prompt, bytes]:
    """Wait for the DUT's next question; if it continues to print, return the last match.

    Returns:
        The question and its text; if there was a refusal, the text of that.
    """
    wanted = [console.prompt, LOGIN_PROMPT, PASSWORD, _REFUSED]
    came, refusal = _next_match(console, wanted, user, begin, deadline), b""
    while True:
        refusal = came.group() if came.index == _Prompt.REFUSED else refusal
        if nothing_follows(console):
            break
        try:
            came = console.expect(wanted, min(QUIET_S, deadline.left_s))
        except ExpectError:
            if came.index == _Prompt.PASSWORD:  # now the question is complete
                _check_question(console, user, begin, 0.0)
            break
    return _Prompt(came.index), refusal or came.group()


def _next_match(
    console: DutConsole, wanted: Sequence[Pattern], user: str, begin: int, deadline: Deadline
) -> Expected:
    """Wait for one of the patterns; raise an error if the DUT asks something else."""
    position, quiet = console.transcript.position, Deadline(UNKNOWN_QUESTION_S)
    while True:
        try:
            return console.expect(wanted, min(QUIET_S, deadline.left_s))
        except ExpectError:
            if console.transcript.position != position:
                position, quiet = console.transcript.position, Deadline(UNKNOWN_QUESTION_S)
            else:
                _check_question(console, user, begin, quiet.spent_s)
            if deadline.passed:
                raise


def _check_question(console: DutConsole, user: str, begin: int, quiet_s: float) -> None:
    """Raise ConsoleError if the DUT asks something that `login` cannot answer."""
    said = console.transcript.between(begin)
    if not waits_for_answer(said):
        return
    if question_in(said) is not None or quiet_s >= UNKNOWN_QUESTION_S:
        raise _unanswerable(console, user, begin)


def _unanswerable(console: DutConsole, user: str, begin: int) -> ConsoleError:
    question = question_in(console.transcript.between(begin)) or Question.UNKNOWN
    return ConsoleError(
        f"the DUT of board {console.serial} asks {user} for {question.value}",
        why=describe_last_line(console.serial, console.transcript.between(begin)),
        remedy=question.remedy,
        serial=console.serial,
    )


def _refused_error(serial: str, user: str, words: bytes) -> ConsoleError:
    return ConsoleError(
        f"the DUT did not let {user} in",
        why=f"it answered {sanitize_text(words.strip().decode(errors='replace'))!r} on board {serial}",
        remedy="login(user, password) takes the DUT's own, not this machine's",
        serial=serial,
    )
