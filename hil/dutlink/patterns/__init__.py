"""Search console bytes for patterns, in bounded time."""
