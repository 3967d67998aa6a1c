"""The simulated board, written from the firmware: USB, shell, settings, meter, power sequences."""
