"""The numbers that tests measured, over the nights: series, and what drifted."""
