"""The pytest plugin of hil: options, markers, boards for tests, outcomes, recording, scheduling."""
