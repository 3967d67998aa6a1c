# ruff: noqa: F821 - the test fills in what stands in braces
import atexit
import threading

import hil
from hil.boards.address import parse_boards
from hil.boards.sources import source_of
from hil.dutlink import board as driver

go = threading.Event()


def drive():
    go.wait()
    with open({told}, "w") as told:
        for opener in (hil.open_board, driver.open_driver):
            try:
                opener(source_of(parse_boards({boards})).host(), console=False).power.force_on()
            except hil.HilError as error:
                print(type(error).__name__, file=told)


thread = threading.Thread(target=drive, daemon=True)


def test_leaves_a_thread(power):
    thread.start()


@atexit.register  # after pytest has ended
def end():
    go.set()
    thread.join()
