"""The simulated board, written from the firmware: it shares nothing with the driver but the errors."""
