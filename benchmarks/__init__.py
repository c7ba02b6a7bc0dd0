"""How fast the service and the command line are, beside what one would use instead. `python -m benchmarks --help`."""
