"""What a test run and an exporter exchange: frames, manifests, descriptors."""
