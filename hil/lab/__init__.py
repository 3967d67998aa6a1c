"""Places of a lab and the exclusive right to one."""
