"""The commands of `hil`: a file for each, and the parts of larger ones."""
