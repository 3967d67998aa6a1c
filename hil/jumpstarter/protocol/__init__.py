"""What a run and an exporter send each other; needs no Jumpstarter package."""
