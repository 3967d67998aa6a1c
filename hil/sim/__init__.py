"""The simulator: boards, sticks, DUTs and their host.

It is written from the firmware and shares only `hil.errors` with the driver.
"""
