"""The console: its tty, the transcript, expect, and the board's own shell."""

from hil.old_paths import from_module

__getattr__ = from_module("hil.dutlink.console.console")  # until 0.2: the folder was a module
