"""The boards of one machine: leases, guards, safe states, and the lab file."""
