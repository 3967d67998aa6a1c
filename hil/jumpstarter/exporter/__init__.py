"""The exporter's side: drivers that offer a board to Jumpstarter clients."""
