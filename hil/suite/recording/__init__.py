"""Keep evidence of a run for `--hil-report`: tests, consoles, power traces."""
