"""What may be wrong with a bench, looked at one thing at a time; each finding says what mends it."""
