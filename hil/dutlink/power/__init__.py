"""The DUT's supply and its meter: readings, sequences, traces, energy, plots."""
