"""The command line `hil`: what its commands share."""
