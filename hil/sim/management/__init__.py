"""The simulator's management port: the truth about each board, and fault injection."""
