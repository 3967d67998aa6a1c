"""Guards: processes that outlive the holder of a board and make the board safe."""
