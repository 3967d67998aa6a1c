"""The image as the input of a run: flashed to a board before the board's first test."""
