"""The pyusb backend that reaches simulated boards."""
