"""The simulated host: bus, `/dev` and `/sys` folders, claims, ttys."""
