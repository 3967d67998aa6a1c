"""The console: its tty, the transcript, expect, and the board's own shell."""
