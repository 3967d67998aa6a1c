"""The storage stick: which disk it is, its mux, flashing it and reading it."""
