"""What `--hil-report` keeps of a run: tests, consoles, power traces."""
