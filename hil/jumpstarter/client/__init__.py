"""The run's side: find an exporter, lease it, and use its board as a local one."""
