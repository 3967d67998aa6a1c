"""The storage stick: which disk it is, its mux, flashing it and reading it."""

from hil.old_paths import from_module

__getattr__ = from_module("hil.dutlink.storage.storage")  # until 0.2: the folder was a module
