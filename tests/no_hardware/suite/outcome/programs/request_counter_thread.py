import threading

import pytest

STOP = threading.Event()


def test_first(dutlink):
    asked = threading.Event()

    def ask():
        while not STOP.wait(0.01):
            dutlink.power.read()
            asked.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    asked.wait()
    test_first.asked = asked


@pytest.mark.hardware
def test_last():
    test_first.asked.clear()
    test_first.asked.wait()
    test_first.asked.clear()
    test_first.asked.wait()


@pytest.mark.no_hardware
def test_stops():
    STOP.set()
