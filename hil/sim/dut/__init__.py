"""The simulated DUT: boot, login, shell, pins, power draw."""
