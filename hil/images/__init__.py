"""Images that a run is given: files, and addresses with a digest."""
