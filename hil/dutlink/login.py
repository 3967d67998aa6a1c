"""Logging in to the DUT: who, and what is answered whatever its console says at the moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.dutlink.waiting import Deadline
from hil.errors import ConsoleError, ExpectError, UsageError

if TYPE_CHECKING:
    from hil.dutlink.command import Talk
    from hil.dutlink.expecting import Expected
    from hil.dutlink.wiring import Login

__all__ = ["LOGIN_PROMPT", "credentials", "log_in"]

QUIET_S: Final = 2.0
"""A DUT that says nothing for so long waits for Enter; a boot loader counts down each second."""

LOGIN_PROMPT: Final = rb"(?<!Last )[Ll]ogin: ?"
_PASSWORD: Final = rb"[Pp]assword: ?"
_REFUSED: Final = rb"[Ll]ogin incorrect|[Aa]uthentication failure|[Pp]ermission denied"


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

    Raises:
        ExpectError: No prompt came in time.
        ConsoleError: User or password were refused.
    """
    deadline = Deadline(timeout_s)
    if _wait(talk, deadline).index == 0:
        return
    talk.sendline(user)
    came = talk.expect([talk.prompt, _PASSWORD, _REFUSED], deadline.left_s)
    if came.index == 1:
        talk.sendline(password)
        came = talk.expect([talk.prompt, _PASSWORD, _REFUSED, LOGIN_PROMPT], deadline.left_s)
    if came.index != 0:
        raise ConsoleError(
            f"the DUT did not let {user} in",
            why=f"it answered {came.group().strip()!r}",
            remedy="login(user, password) takes the DUT's own, not this machine's",
        )


def _wait(talk: Talk, deadline: Deadline) -> Expected:
    """Wait for the login prompt or the shell's; press Enter where the DUT has gone quiet."""
    while deadline.left_s > QUIET_S:
        said = talk.transcript.position
        with suppress(ExpectError):
            return talk.expect([talk.prompt, LOGIN_PROMPT], QUIET_S)
        if talk.transcript.position == said:
            talk.sendline()
    return talk.expect([talk.prompt, LOGIN_PROMPT], deadline.left_s)
