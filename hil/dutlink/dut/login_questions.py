"""The questions that a DUT asks before it starts a shell."""

from __future__ import annotations

import enum
import re
from typing import Final

from hil.dutlink.dut.shell_escapes import last_line
from hil.dutlink.patterns.incremental_match import compile_pattern
from hil.dutlink.patterns.search import trust_pattern

__all__ = ["LOGIN_PROMPT", "PASSWORD", "Question", "question_in", "waits_for_answer"]

LOGIN_PROMPT: Final = rb"(?<!Last )[Ll]ogin: ?"

_PASSWORD_WORDS: Final = (
    "[Pp]assword",
    "[Pp]asswort",
    "[Kk]ennwort",
    "Mot de passe",
    "[Cc]ontrase\u00f1a",
    "[Ss]enha",
    "[Pp]alavra-passe",
    "[Ww]achtwoord",
    "[Hh]as\u0142o",
    "[\u041f\u043f]\u0430\u0440\u043e\u043b\u044c",
    "[Hh]eslo",
    "[Ll]\u00f6senord",
    "[Aa]dgangskode",
    "[Pp]assord",
    "[Ss]alasana",
    "[Jj]elsz\u00f3",
    "[Pp]arola",
    "\u30d1\u30b9\u30ef\u30fc\u30c9",
    "\u5bc6\u7801",
    "\u5bc6\u78bc",
    "\uc554\ud638",
)
"""The word in the translations of util-linux, shadow and PAM."""

PASSWORD: Final = ("(?:" + "|".join(_PASSWORD_WORDS) + ")(?: for [^\\s:]+)?(?: |\u00a0)?[:\uff1a] ?").encode()

_ASKS_PASSWORD: Final = trust_pattern(compile_pattern(PASSWORD))

_NEW_WORDS: Final = (
    "expired",
    "change (?:your|the) password",
    "password (?:change|must be changed)",
    "required to change",
    "(?:new|old|current|retype)[^\n]{0,20} password",
    "\\(current\\)",
    "abgelaufen",
    "(?:passwort|kennwort)[^\n]{0,40}ändern",
    "(?:neues|aktuelles|altes|geben sie)[^\n]{0,20}(?:passwort|kennwort)",
    "expiré",
    "(?:nouveau|changer)[^\n]{0,20}mot de passe",
    "mot de passe (?:actuel|unix)",
    "caducad",
    "(?:cambiar|nueva)[^\n]{0,20}contraseña",
    "contraseña (?:actual|nueva)",
    "scadut",
    "nuova password",
    "expirou",
    "(?:nova senha|senha atual)",
)
_NEW: Final = re.compile(("(?i)" + "|".join(_NEW_WORDS)).encode())
_SECOND_FACTOR_WORDS: Final = (
    "(?:verification|authenticator|authentication|security) code",
    "one[- ]time",
    "\\botp\\b",
    "pass ?code",
    "\\btoken\\b",
    "two[- ]factor",
    "second factor",
    "\\b2fa\\b",
    "\\bpin\\b",
    "challenge",
    "einmal",
    "bestätigungscode",
    "code de vérification",
)
_SECOND_FACTOR: Final = re.compile(("(?i)" + "|".join(_SECOND_FACTOR_WORDS)).encode())
_QUESTION: Final = re.compile("(?:[:?>)\\]]|\uff1a|\uff1f)\\s*\\Z")


class Question(enum.Enum):
    """A question of the DUT that `login` does not answer."""

    NEW_PASSWORD = "a new password: its own has expired, or must be changed"  # noqa: S105 - a question
    SECOND_FACTOR = "a second factor, such as a one-time password (OTP)"
    UNKNOWN = "something that login() does not know"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        match self:
            case Question.NEW_PASSWORD:
                return "change it by console.sendline(), or give the image a password that does not expire"
            case Question.SECOND_FACTOR:
                return "answer it by console.sendline(), or give the image an account without a second factor"
            case Question.UNKNOWN:
                return "answer it by console.sendline(); if that is the shell's prompt: login(prompt=...)"


def question_in(said: bytes) -> Question | None:
    """Return the known question in the bytes since the last answer, or None."""
    if _NEW.search(said):
        return Question.NEW_PASSWORD
    return Question.SECOND_FACTOR if _SECOND_FACTOR.search(said) else None


def waits_for_answer(said: bytes) -> bool:
    """Return True if the last line ends like a question or a prompt."""
    return _QUESTION.search(last_line(said).decode(errors="replace")) is not None
