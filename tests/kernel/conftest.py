"""Tests that need boards attached to Linux' own USB stack; only `nox -s kernel` collects them."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "HIL_KERNEL_JOB" in os.environ else ["test_*.py"]
