"""Processes that run below a command with a lease: start, signals, descendants, reaping."""
