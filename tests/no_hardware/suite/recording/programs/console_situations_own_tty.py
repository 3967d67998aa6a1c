# ruff: noqa: F401 - what a test does with it follows
import fcntl
import os
import tty
from pathlib import Path

import pytest

NODE = Path("node")


def plug_in():
    """A console of the DUT's own, by the node that the lab file names."""
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.close(slave)
    NODE.unlink(missing_ok=True)
    NODE.symlink_to(path)
    return master
