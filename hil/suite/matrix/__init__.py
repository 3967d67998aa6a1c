"""Run each test on every board, or on every kind of board: a matrix of tests and columns."""
