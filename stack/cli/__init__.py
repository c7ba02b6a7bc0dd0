"""What the command line shares: options, output, prompts. `stackctl.py` is the list of commands."""
