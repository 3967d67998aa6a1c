"""Schedule tests on few boards over many pytest-xdist workers."""
