"""Names of a test's evidence files."""

from __future__ import annotations

import hashlib
import re

__all__ = ["file_stem"]

_LONGEST_STEM = 120


def file_stem(test: str) -> str:
    """Return a readable file name for a test, without a suffix and unique to the test."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-.")
    return f"{plain[-_LONGEST_STEM:]}-{hashlib.sha256(test.encode(errors='surrogatepass')).hexdigest()[:8]}"
