"""What a test sees of hil; a second repository has this line in its root `conftest.py`, too."""

pytest_plugins = ["hil.plugin"]
