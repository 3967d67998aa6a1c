"""Drivers that offer a DUTLink board to Jumpstarter's exporter."""
