# ruff: noqa: F821 - the test fills in what stands in braces
import importlib
import os
import sys

from hil.suite.boards.remaining_tests import RemainingTests

SEAMS = {seams}
ALWAYS = os.environ.get("INNER_FAILS_IN", "")  # a function in which all of them fail


def replace(seam):
    module, _, name = seam.partition(":")
    owner = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    def fails(*arguments, **named):
        if is_meant(seam):
            raise {error}
        return original(*arguments, **named)

    setattr(owner, name, fails)


def is_meant(seam):
    frame = sys._getframe(2)
    while frame is not None:
        if "hil" in frame.f_code.co_filename:
            name = frame.f_code.co_name
            if name == ALWAYS or where(frame.f_locals.get("item")) == [seam, name]:
                return True
        frame = frame.f_back
    return False


def where(item):
    return item.callspec.params["where"].split(" ") if hasattr(item, "callspec") else None


for seam in SEAMS:
    replace(seam)

is_last = RemainingTests.is_last
RemainingTests.is_last = lambda self, nodeid: "release_if_last" in nodeid or is_last(self, nodeid)
