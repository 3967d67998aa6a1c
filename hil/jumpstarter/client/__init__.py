"""The test run's side: leases an exporter, connects to it, and uses its board as a `Host`."""
