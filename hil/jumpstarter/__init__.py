"""Boards on many hosts, by Jumpstarter: drivers for its exporter, and the client that test runs use.

An optional extra, `hil[jumpstarter]`: the rest of hil imports `client.provider` by name, and only when it is
needed.
"""
