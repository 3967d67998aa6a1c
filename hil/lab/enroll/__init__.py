"""Making a place of a board: what its stick and its console are, and what the lab file then says."""
