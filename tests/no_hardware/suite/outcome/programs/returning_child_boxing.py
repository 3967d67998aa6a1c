import os
import pickle
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    told = Path("told")
    told.unlink(missing_ok=True)
    pid = os.fork()
    if not pid:
        told.write_bytes(pickle.dumps(runtestprotocol(item, log=False)))
        os._exit(0)
    os.waitpid(pid, 0)
    for report in pickle.loads(told.read_bytes()):  # noqa: S301 - of its own child
        item.ihook.pytest_runtest_logreport(report=report)
    return True
