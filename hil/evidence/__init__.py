"""The files that a run keeps: records of the run and its tests, console transcripts."""
