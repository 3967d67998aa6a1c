"""The engine for many hosts: what an exporter offers, and how a run reaches it.

Needs the extra `jumpstarter`; nothing outside imports from here but by name.
"""
