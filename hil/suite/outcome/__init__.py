"""Decide the outcome of a test and of a run: verdicts, reruns, time limits, the ledger, the exit status."""
