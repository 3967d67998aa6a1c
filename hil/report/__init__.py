"""Pages over what runs left behind: static, no server, no network; opened from a file."""
