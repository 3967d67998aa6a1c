"""What a run leaves behind to be looked at: transcripts, power traces."""
