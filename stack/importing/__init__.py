"""Turn a Docker Compose project into a stack file: read, recognise, wire, write. Only `reading` starts a program."""
