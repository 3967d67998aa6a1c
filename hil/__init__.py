"""A hardware-in-the-loop test suite for DUTLink boards.

Layers, each importing only what stands before it: `hil.errors`, `hil.flash` (images and disks), `hil.dutlink`
(the board as its firmware defines it), `hil.lab` (places and leases), `hil.evidence` (what a run leaves
behind), `hil.suite` (what pytest sees), `hil.jumpstarter` (many hosts), `hil.history` (earlier runs),
`hil.report` (pages), `hil.nightly` (every night), `hil.cli`. `hil.sim`, the simulated board, stands beside
them and knows only the errors.
"""
