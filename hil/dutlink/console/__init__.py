"""The console: tty, transcript, expect, and the board's own shell behind it."""
