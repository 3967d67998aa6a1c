"""A pytest plugin for a run whose guards cannot start: their interpreter is none."""

import sys

sys.executable = "/bin/false"
