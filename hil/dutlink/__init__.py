"""The DUTLink board as its firmware defines it: requests, power, storage, pins, settings, console."""
