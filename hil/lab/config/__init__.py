"""The lab file: its places, their values, and errors in it by line."""
