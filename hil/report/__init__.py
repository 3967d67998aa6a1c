"""Static pages about runs and nights: opened from a file, without a server or a network."""
