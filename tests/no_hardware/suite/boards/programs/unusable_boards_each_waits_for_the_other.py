import os
from pathlib import Path

import pytest

from hil.dutlink.timing import until
from hil.lab.locks.tickets import waiting_tickets

FOLDER = Path(os.environ["HIL_LOCK_DIR"])


@pytest.mark.parametrize("number", range(2))
def test_holds(number, power):
    power.read()
    if not FOLDER.joinpath("waited").exists():
        assert until(lambda: waiting_tickets(FOLDER) or None, 60.0)
        FOLDER.joinpath("waited").touch()
