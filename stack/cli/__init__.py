"""The shared parts of the command line: options, output, prompts. `stackctl.py` is the list of commands."""
