"""One file for each command of `hil`."""
