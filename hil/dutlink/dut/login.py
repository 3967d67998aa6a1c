"""Logging in to the DUT: the account, and the answers to what its console asks."""

from __future__ import annotations

import enum
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.expect_error import describe_last_line
from hil.dutlink.console.sanitize import sanitize_text
from hil.dutlink.dut.boot_stage import Stage, boot_prompt, may_press_enter, stage_of
from hil.dutlink.dut.login_questions import LOGIN_PROMPT, PASSWORD, Question, question_in, waits_for_answer
from hil.dutlink.dut.prompt import PROMPT, describe_prompt, nothing_follows, pattern_at_end
from hil.dutlink.dut.secret import Secret
from hil.dutlink.dut.shell_escapes import last_line
from hil.dutlink.timing import Deadline
from hil.errors import BootLoaderError, ConsoleError, ExpectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.console.expect import Expected
    from hil.dutlink.dut.prompt import DutConsole
    from hil.dutlink.patterns.incremental_match import Pattern
    from hil.dutlink.wiring import Login

__all__ = ["LOGIN_PROMPT", "credentials", "log_in"]

QUIET_S: Final = 2.0
"""Seconds after which a silent system is taken to wait for Enter."""

UNKNOWN_QUESTION_S: Final = 5.0
"""Seconds after which an unfinished line is taken for a question, even if it is not a known one."""

_NEVER_QUIET_S: Final = 10.0
"""How long after a prompt a DUT may go on talking before Enter asks for another one."""

_LINE_BYTES: Final = 1024
_MAINTENANCE: Final = pattern_at_end(rb"(?:for maintenance|Control-D)[^\n]*: ?")
_REFUSED: Final = re.compile(rb"[Ll]ogin incorrect|[Aa]uthentication failure|[Pp]ermission denied")


class _Said(enum.IntEnum):
    """What the DUT may say, in the order in which it is waited for."""

    PROMPT = 0
    LOGIN = 1
    PASSWORD = 2
    REFUSED = 3


def credentials(
    account: Login | None, serial: str, user: str | None, password: str | None
) -> tuple[str, Secret]:
    """Return the user and the password to log in with.

    Args:
        account: What the lab file has for this place, if it has one.
        serial: The board's serial number.
        user: The account's name; None: the lab file's.
        password: The password; None: the lab file's for that user, else an empty one.

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
    """Answer what is asked until the shell's prompt comes; see `Console.login`.

    Only that is a question after which nothing follows: boot logs and messages of the day say `# ` and
    `login: ` as well.

    Raises:
        ExpectError: No prompt came in time.
        BootLoaderError: The DUT waits at the prompt of its boot loader.
        ConsoleError: User or password were refused, or the DUT asks for more than these.
    """
    deadline, missing = Deadline(timeout_s), "login prompt"
    try:
        said = _first_question(console, deadline)
        missing = f"shell prompt {describe_prompt(console.prompt)}"
        _answer(console, user, password, said, deadline)
    except BootLoaderError:
        raise
    except ExpectError as error:
        raise ExpectError(
            f"no {missing} came within {deadline.spent_s:.1f} s, to log in as {user}",
            why=f"{_stage_words(console)}{error.why}",
            remedy=error.remedy,
            serial=error.serial,
        ) from None


def _stage_words(console: DutConsole) -> str:
    if console.dut_is_off:
        return ""
    stage = stage_of(console.transcript, console.prompt)
    if stage is Stage.SYSTEM:
        return ""
    return f"since its last start the DUT printed {stage.value}, so Enter was pressed late or not at all; "


def _answer(console: DutConsole, user: str, password: Secret, said: _Said, deadline: Deadline) -> None:
    answers = [(_Said.LOGIN, user), (_Said.LOGIN, user), (_Said.PASSWORD, password)]
    words, position = b"", console.transcript.position
    while said is not _Said.PROMPT:  # the name is in `answers` twice: a getty that just starts may lose one
        answer = next((answer for answer in answers if answer[0] is said), None)
        if _REFUSED.fullmatch(words):
            raise _not_let_in(console.serial, user, words)
        question = question_in(last_line(console.transcript.between(position)))
        if said is _Said.PASSWORD and (answer is None or question is Question.NEW_PASSWORD):
            raise _asks_more(console, user, position)
        if answer is None:
            raise _not_let_in(console.serial, user, words)
        del answers[: answers.index(answer) + 1]
        position = console.transcript.position
        console.sendline(answer[1])
        said, words = _next_question(console, user, position, deadline)


def _first_question(console: DutConsole, deadline: Deadline) -> _Said:
    """Wait for the login prompt or the shell's; press Enter where a system has gone quiet.

    A question that answers Enter counts even if the kernel has the last word.
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
                return _Said(last)
            continue
        is_quiet = console.transcript.position == position
        if is_quiet and asked and last >= 0:
            return _Said(last)
        if is_quiet:
            _check_unread(console)
        if is_quiet or passed_by.passed:
            if not may_press_enter(
                console.transcript, stage_of(console.transcript, console.prompt), deadline.limit_s
            ):
                continue
            passed_by, last, asked = deadline, -1, True
            console.sendline()
    return _Said(console.expect(wanted, deadline.left_s).index)


def _check_boot_prompt(console: DutConsole) -> None:
    """Raise BootLoaderError if the prompt that came is a boot loader's, though it looks like a shell's."""
    transcript = console.transcript
    said = transcript.between(transcript.position - _LINE_BYTES)
    name = boot_prompt(said, stage_of(transcript, console.prompt), is_named=console.prompt == PROMPT)
    if name is not None:
        raise _in_boot_loader(console, name)


def _check_unread(console: DutConsole) -> None:
    """Raise the error that names what a silent DUT waits for, if `login` has no answer to it."""
    unread = console.unread()[-_LINE_BYTES:]
    name = boot_prompt(unread, stage_of(console.transcript, console.prompt))
    if name is not None:
        raise _in_boot_loader(console, name)
    if _MAINTENANCE.search(unread):
        raise ConsoleError(
            f"the DUT of board {console.serial} is in emergency mode, "
            "and asks for a password for maintenance",
            why=describe_last_line(console.serial, unread),
            remedy="mend what its boot log names; console.send() answers the question",
            serial=console.serial,
        )


def _next_question(console: DutConsole, user: str, begin: int, deadline: Deadline) -> tuple[_Said, bytes]:
    """Wait for what the DUT asks after an answer; if it goes on printing, take the last that looked like it.

    Returns:
        What it asks, and its words; those of a refusal, if there were any.
    """
    wanted = [console.prompt, LOGIN_PROMPT, PASSWORD, _REFUSED]
    came, refusal = _next_words(console, wanted, user, begin, deadline), b""
    while True:
        refusal = came.group() if came.index == _Said.REFUSED else refusal
        if nothing_follows(console):
            break
        try:
            came = console.expect(wanted, min(QUIET_S, deadline.left_s))
        except ExpectError:
            if came.index == _Said.PASSWORD:  # by now all of the question is there, not only its first words
                _check_question(console, user, begin, 0.0)
            break
    return _Said(came.index), refusal or came.group()


def _next_words(
    console: DutConsole, wanted: Sequence[Pattern], user: str, begin: int, deadline: Deadline
) -> Expected:
    """Wait for one of the patterns; once the DUT is silent, raise if it asks something else."""
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
    """Raise ConsoleError if the DUT asks something that `login` has no answer to."""
    said = console.transcript.between(begin)
    if not waits_for_answer(said):
        return
    if question_in(said) is not None or quiet_s >= UNKNOWN_QUESTION_S:
        raise _asks_more(console, user, begin)


def _asks_more(console: DutConsole, user: str, begin: int) -> ConsoleError:
    question = question_in(console.transcript.between(begin)) or Question.UNKNOWN
    return ConsoleError(
        f"the DUT of board {console.serial} asks {user} for {question.value}",
        why=describe_last_line(console.serial, console.transcript.between(begin)),
        remedy=question.remedy,
        serial=console.serial,
    )


def _in_boot_loader(console: DutConsole, name: str) -> BootLoaderError:
    transcript = console.transcript
    return BootLoaderError(
        f"the DUT waits at the prompt of {name}",
        why=describe_last_line(console.serial, transcript.between(transcript.position - _LINE_BYTES)),
        remedy="storage.flash(IMAGE) if the stick holds no system; else power.cycle(): "
        "a key, or noise on the line, stopped the autoboot",
        serial=console.serial,
    )


def _not_let_in(serial: str, user: str, words: bytes) -> ConsoleError:
    return ConsoleError(
        f"the DUT did not let {user} in",
        why=f"it answered {sanitize_text(words.strip().decode(errors='replace'))!r} on board {serial}",
        remedy="login(user, password) takes the DUT's own, not this machine's",
        serial=serial,
    )
