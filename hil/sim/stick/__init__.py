"""The simulated storage stick and its mux, with the faults of bad sticks."""
