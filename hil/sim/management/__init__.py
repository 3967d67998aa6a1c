"""The simulator's management port: the true state of each board, and fault injection."""
