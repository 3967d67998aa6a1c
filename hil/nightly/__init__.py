"""The nightly run: its command, its folder, and the timer that starts it."""
