import threading
import time

import pytest

from hil.errors import LeaseEndedError
from tests.no_hardware.suite.boards.programs.board_life_head import KEPT, ONE, note, one, supply, two


def left_behind(power):
    for _ in range(2000):
        try:
            power.force_on()
        except LeaseEndedError as error:
            note("refused", str(error))
            return
        time.sleep(0.01)


@one
def test_1(dutlink):
    KEPT.append(dutlink)
    threading.Thread(target=left_behind, args=(dutlink.power,), daemon=True).start()


@two
def test_2(dutlink):
    assert not supply(ONE)
    with pytest.raises(LeaseEndedError, match=rf"{ONE}\) was given back at .*, after test_inner.py::test_1"):
        KEPT[0].power.force_on()
    assert not supply(ONE)
