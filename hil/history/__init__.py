"""The history of earlier runs: an SQLite database, and analyses of it."""
