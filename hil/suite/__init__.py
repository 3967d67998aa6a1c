"""What pytest needs: selection by marker, availability verdicts, scheduling, evidence, the ledger."""
