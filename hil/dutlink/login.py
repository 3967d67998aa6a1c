"""Logging in to the DUT: who, and what is answered whatever its console says at the moment."""

from __future__ import annotations

import enum
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.dutlink.prompt import nothing_follows, shown
from hil.dutlink.questions import LOGIN_PROMPT, PASSWORD
from hil.dutlink.waiting import Deadline
from hil.errors import ConsoleError, ExpectError, UsageError

if TYPE_CHECKING:
    from hil.dutlink.prompt import Talk
    from hil.dutlink.wiring import Login

__all__ = ["LOGIN_PROMPT", "credentials", "log_in"]

QUIET_S: Final = 2.0
"""A DUT that says nothing for so long waits for Enter; a boot loader counts down each second."""

_NEVER_QUIET_S: Final = 10.0
"""How long after a prompt a DUT may go on talking before Enter asks for another one."""

_REFUSED: Final = re.compile(rb"[Ll]ogin incorrect|[Aa]uthentication failure|[Pp]ermission denied")


class _Said(enum.IntEnum):
    """What the DUT may say, in the order in which it is waited for."""

    PROMPT = 0
    LOGIN = 1
    PASSWORD = 2
    REFUSED = 3


def credentials(
    account: Login | None, serial: str, user: str | None, password: str | None
) -> tuple[str, str]:
    """Return the user and the password to log in with.

    Args:
        account: What the lab file has for this place, if it has one.
        serial: The board's serial number.
        user: Who is asked for; None: the lab file's.
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
    return user, password


def log_in(talk: Talk, user: str, password: str, timeout_s: float) -> None:
    """Answer what is asked until the shell's prompt comes; see `Console.login`.

    Only that is a question behind which nothing follows: boot logs and messages of the day say `# ` and
    `login: ` as well.

    Raises:
        ExpectError: No prompt came in time.
        ConsoleError: User or password were refused.
    """
    deadline = Deadline(timeout_s)
    try:
        _answer(talk, user, password, deadline)
    except ExpectError as error:
        raise ExpectError(
            f"no login as {user} on the console of board {error.serial} within {deadline.spent_s:.1f} s: "
            f"neither 'login: ' nor the prompt {shown(talk.prompt)} was the last that came",
            why=error.why,
            remedy=error.remedy,
            serial=error.serial,
        ) from error


def _answer(talk: Talk, user: str, password: str, deadline: Deadline) -> None:
    said = _first_question(talk, deadline)
    answers = [(_Said.LOGIN, user), (_Said.LOGIN, user), (_Said.PASSWORD, password)]
    words = b""
    while said is not _Said.PROMPT:  # a name that was typed while the getty started may be lost once
        answer = next((answer for answer in answers if answer[0] is said), None)
        if answer is None or _REFUSED.fullmatch(words):
            raise _not_let_in(user, words)
        del answers[: answers.index(answer) + 1]
        talk.sendline(answer[1])
        said, words = _next_question(talk, deadline)


def _first_question(talk: Talk, deadline: Deadline) -> _Said:
    """Wait for the login prompt or the shell's; press Enter where the DUT has gone quiet.

    A question that answers Enter counts even if the kernel has the last word.
    """
    wanted, passed_by, last, asked = [talk.prompt, LOGIN_PROMPT], deadline, -1, False
    while deadline.left_s > QUIET_S:
        position = talk.transcript.position
        with suppress(ExpectError):
            last = talk.expect(wanted, QUIET_S).index
            if nothing_follows(talk):
                return _Said(last)
            passed_by = Deadline(_NEVER_QUIET_S)
            continue
        is_quiet = talk.transcript.position == position
        if is_quiet and asked and last >= 0:
            return _Said(last)
        if is_quiet or passed_by.passed:
            passed_by, last, asked = deadline, -1, True
            talk.sendline()
    return _Said(talk.expect(wanted, deadline.left_s).index)


def _next_question(talk: Talk, deadline: Deadline) -> tuple[_Said, bytes]:
    """Wait for what the DUT asks after an answer; where it goes on talking, the last that looked like it.

    Returns:
        What it asks, and its words; those of a refusal, if there were any.
    """
    wanted = [talk.prompt, LOGIN_PROMPT, PASSWORD, _REFUSED]
    came, refusal = talk.expect(wanted, deadline.left_s), b""
    while True:
        refusal = came.group() if came.index == _Said.REFUSED else refusal
        if nothing_follows(talk):
            break
        try:
            came = talk.expect(wanted, min(QUIET_S, deadline.left_s))
        except ExpectError:
            break
    return _Said(came.index), refusal or came.group()


def _not_let_in(user: str, words: bytes) -> ConsoleError:
    return ConsoleError(
        f"the DUT did not let {user} in",
        why=f"it answered {words.strip()!r}",
        remedy="login(user, password) takes the DUT's own, not this machine's",
    )
