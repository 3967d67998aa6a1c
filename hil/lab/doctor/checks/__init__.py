"""The checks of `hil doctor`: one file each."""
