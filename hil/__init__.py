"""A hardware-in-the-loop test suite for DUTLink boards.

Layers, each importing only what stands before it: `hil.errors`, `hil.dutlink` (the board as its firmware
defines it), `hil.lab` (places and leases), `hil.suite` (what pytest sees), `hil.cli`. `hil.sim`, the
simulated board, stands beside them and knows only the errors.
"""
