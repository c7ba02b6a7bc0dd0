"""Make the folders that are buckets, then become the server: a script that `launch` starts.

    folders.py DATA -- rclone WORD…

`BUCKETS` names them. It needs nothing but Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    data, _, *command = arguments
    for bucket in os.environ["BUCKETS"].split():
        (Path(data) / bucket).mkdir(exist_ok=True)
    os.execvp(command[0], command)  # noqa: S606 - as `launch` does


if __name__ == "__main__":
    main(sys.argv[1:])
