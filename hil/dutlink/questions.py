"""What a DUT asks before it gives a shell."""

from __future__ import annotations

from typing import Final

__all__ = ["LOGIN_PROMPT", "PASSWORD"]

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
"""As util-linux, shadow and PAM translate it."""

PASSWORD: Final = ("(?:" + "|".join(_PASSWORD_WORDS) + ")(?: |\u00a0)?[:\uff1a] ?").encode()
