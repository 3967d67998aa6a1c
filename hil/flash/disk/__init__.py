"""The disk that an image is written to: its identity, its users, reading and writing."""
