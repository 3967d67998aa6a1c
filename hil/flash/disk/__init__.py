"""The disk that an image is written to: its identity, its users, its reads and writes."""
