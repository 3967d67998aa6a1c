"""Give boards to tests: one board per process, released after the last test that uses it."""
