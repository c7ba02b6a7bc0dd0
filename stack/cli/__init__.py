"""The command line: the commands by topic, and what they share: options, output, prompts."""
