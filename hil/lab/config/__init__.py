"""The lab file: its places, their values, and its errors by line."""
