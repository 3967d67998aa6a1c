"""Login names of users."""

from __future__ import annotations

import pwd

__all__ = ["login_name"]


def login_name(uid: int) -> str | None:
    """Return a user's login name, or None if the password database has no entry, as in containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
