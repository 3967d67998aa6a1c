"""The run of every night: what it runs, what it keeps, what starts it."""
