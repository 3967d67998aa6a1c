"""Leases: kernel locks on boards, the queue for them, and who holds them."""
