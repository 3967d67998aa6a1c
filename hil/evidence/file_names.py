"""How the files are called in which evidence of a test is kept."""

from __future__ import annotations

import hashlib
import re

__all__ = ["file_stem"]

_LONGEST_STEM = 120


def file_stem(test: str) -> str:
    """Return a file name without its ending for a test: readable, and another one for each test."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-.")
    return f"{plain[-_LONGEST_STEM:]}-{hashlib.sha256(test.encode(errors='surrogatepass')).hexdigest()[:8]}"
