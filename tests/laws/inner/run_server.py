"""Starts runs of pytest fast: everything is imported once, and each run is a fork.

Reads one JSON object a line: folder, arguments, environment. Answers with the pid of the run, then with its
exit status. A run is a process in a session of its own; its output goes to `output.txt` in its folder.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import sys
from typing import Any

import pytest

_NEEDED = ("hil.dutlink.", "hil.suite.", "hil.lab.", "hil.flash.")
_MORE = (
    *("hil.sim.backend.backend", "hil.history.pytest_recorder", "hil.report.pytest_hook", "usb.core"),
    *("xdist.plugin", "xdist.dsession", "pytest_asyncio.plugin", "pytest_rerunfailures", "pytest_timeout"),
)


def main() -> int:
    """Serve; return the status of the run, in its process."""
    _import_all()
    gc.freeze()
    for line in sys.stdin:
        run: dict[str, Any] = json.loads(line)
        pid = os.fork()
        if not pid:
            return _run(run)
        _answer({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _answer({"status": os.waitstatus_to_exitcode(status)})
    return 0


def _import_all() -> None:
    import hil  # noqa: PLC0415

    for module in pkgutil.walk_packages(hil.__path__, "hil."):
        if module.name.startswith(_NEEDED) and ".doctor" not in module.name and ".enrol" not in module.name:
            importlib.import_module(module.name)
    for name in _MORE:
        importlib.import_module(name)


def _answer(facts: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _run(run: dict[str, Any]) -> int:
    """Become the run."""
    os.setsid()
    os.chdir(run["folder"])
    os.environ.update(run["environment"])
    sys.argv[:] = ["pytest", *run["arguments"]]
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT, 0o644)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, 64)
    return int(pytest.main(run["arguments"]))


if __name__ == "__main__":
    sys.exit(main())
