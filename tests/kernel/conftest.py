"""Only `nox -s kernel` collects these tests; their fixtures are in `kernel_fixtures.py`, a plugin there."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "HIL_KERNEL_JOB" in os.environ else ["test_*.py"]
