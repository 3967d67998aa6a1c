"""What pytest needs: selection by marker, availability verdicts, the ledger."""
