"""Find the lines of this user's crontab that start nights."""

from __future__ import annotations

import re
import shutil
import subprocess

__all__ = ["nights_in_crontab"]

_LIMIT_S = 10.0
_STARTS_A_NIGHT = re.compile(r"\s*[^#\s].*(hil|hil\.cli\.main|nox .*-s) nightly\b")


def nights_in_crontab() -> list[str] | None:
    """Return the lines of this user's crontab that start a night; None if crontab(1) is not installed."""
    if shutil.which("crontab") is None:
        return None
    crontab = subprocess.run(
        ("crontab", "-l"), capture_output=True, check=False, text=True, errors="replace", timeout=_LIMIT_S
    )
    return [line.strip() for line in crontab.stdout.splitlines() if _STARTS_A_NIGHT.match(line)]
