"""USB/IP: messages, the simulator's server, and the client in processes that use simulated boards."""
