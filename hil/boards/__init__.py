"""Where boards are and how one is acquired: requirements, sources, lease and open. No pytest here."""
