"""USB requests to one board: wire protocol, control transfers, permissions, errors."""
