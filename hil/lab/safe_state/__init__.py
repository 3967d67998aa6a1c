"""What "safe" means for a board, how it is reached, and the record of what is known."""
