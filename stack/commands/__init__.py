"""What the commands do: one file a command, named as it is typed, which reads as the list of its steps.

To add a command: a file here, and its options in a module of `stack/cli/`.
"""
