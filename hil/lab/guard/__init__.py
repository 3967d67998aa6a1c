"""Guards: processes that outlive the holder of a board and make the board safe."""

from hil.old_paths import from_module

__getattr__ = from_module("hil.lab.guard.guard")  # until 0.2: the folder was a module
