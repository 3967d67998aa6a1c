"""The system that runs on the DUT: boot stage, login, prompts, commands."""
