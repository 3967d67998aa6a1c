"""What a test's outcome is: verdicts, reruns, time limits, the ledger, the exit status."""
