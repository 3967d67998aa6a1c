"""Take every measurement, half an hour; say at the end which ones missed a goal. `nox -s bench` starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.harness import show

SCRIPTS = (
    *("suite_cost", "request_cost", "command_cost", "bench_lease", "bench_makespan", "bench_two_boards"),
    *("bench_flashes", "bench_console", "bench_flash", "bench_comings", "bench_history", "report_cost"),
)


def main() -> int:
    """Run the scripts one by one; return 1 if one of them failed or missed a goal."""
    here = Path(__file__).parent
    return show(
        [
            (name, subprocess.run([sys.executable, here / f"{name}.py"], check=False).returncode == 0)
            for name in SCRIPTS
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
