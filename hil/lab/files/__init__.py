"""Files of a system: atomic replacement, trusted paths, root folders of images."""
