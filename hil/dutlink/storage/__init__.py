"""The storage stick: which disk it is, its mux, flashing it and reading it.

`Storage` is what tests use. It turns a `StickMux`, which takes the stick from no program that uses it. A
`StickFinder` finds the disk: at the socket that is learned (`LearnedSticks`, kept in a `StickMemory`), or by
a `MuxWatch`, which proves which disk follows the mux (`stick_proof.py`). `StickPath` has the paths that lead
to the disk. During a flash, `SameStick` attaches the disk again, and sees that it is the same. For a board on
another machine, `StorageElsewhere` only turns the mux here.
"""

from hil.old_paths import from_module

__getattr__ = from_module("hil.dutlink.storage.storage")  # until 0.2: the folder was a module
