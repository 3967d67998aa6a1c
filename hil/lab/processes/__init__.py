"""Processes below a command that holds a board: start, signals, descendants, reaping."""
