"""Image formats: open an image, decompress it, read its block map and checksums."""
