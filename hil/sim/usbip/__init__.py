"""USB/IP: messages, the simulator's server, a process's client."""
