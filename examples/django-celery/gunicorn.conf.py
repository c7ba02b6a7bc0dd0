"""Listen where the stack says: in a container on every address, without one on 127.0.0.1."""

import os

bind = f"{os.environ['BIND']}:{os.environ['PORT']}"
threads = 8
control_socket_disable = True  # it would be a file in a home directory, and a container has none that it may write to
