"""The DUT's supply and its meter: readings, sequences, traces, energy, plots."""

from hil.old_paths import from_module

__getattr__ = from_module("hil.dutlink.power.power")  # until 0.2: the folder was a module
