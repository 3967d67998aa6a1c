"""`hil enroll`: find a board's stick and console, and write its place into the lab file."""
