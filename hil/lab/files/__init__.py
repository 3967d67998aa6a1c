"""Files of this system: atomic replacement, trusted paths, roots of images."""
