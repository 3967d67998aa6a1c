"""Leases: kernel locks on boards, the line of processes that wait for them, and who holds them.

`acquire` stands in line (a `QueueEntry` in the file of the queue) until this process is first in line for a
free board (`WaitLine`). Then it locks the board's `LockFile` and its device node (`NodeLock`), and makes a
`Lease` of them. The lease writes its `Holder` into the file, and lends the board to programs (`lending`).
"""
