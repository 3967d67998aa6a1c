"""What earlier runs found: the database, its questions and their answers."""
