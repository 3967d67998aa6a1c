"""Run each test once for each column: for every board or kind of board (`--hil-each`), with each image."""
