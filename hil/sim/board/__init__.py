"""The simulated board: its USB, its shell, its settings, its meter, from the firmware."""
