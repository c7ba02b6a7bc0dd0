"""Regenerate the pictures of the README from real runs.

    python docs/pictures.py

It starts its own playground on the embedded engine, sends visits, takes the pictures, and deletes the playground. Port
8000 must be free, and Chromium installed.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parents[1]
PICTURES = PROJECT / "docs" / "pictures"
URL = "http://localhost:8000"
COLUMNS = 80
LOOKS = 30  # seconds of traffic in the plots of the page
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Make Chromium connect only to the page's own server.
_QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# The template of rich, without the web fonts that it fetches.
_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
font: {char_height}px/{line_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Write every picture. Exits with the output of a command that fails."""
    PICTURES.mkdir(exist_ok=True)
    with browser() as chromium, empty_home() as environment:
        try:
            save_terminal("up", environment)
            visit(chromium, 3)
            save_terminal("inspect", environment)
            save_terminal("status", environment)
            save_page(chromium, environment)
        finally:
            run("reset", "--yes", environment=environment)


@contextmanager
def browser() -> Iterator[Browser]:
    """Launch the system's Chromium."""
    program = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if program is None:
        sys.exit("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=_QUIET)
        yield chromium
        chromium.close()


@contextmanager
def empty_home() -> Iterator[Mapping[str, str]]:
    """Return the environment of a user without any instance."""
    with tempfile.TemporaryDirectory(prefix="stackctl-pictures-") as folder:
        own = {name: value for name, value in os.environ.items() if not name.startswith("STACKCTL_")}
        own.pop("NO_COLOR", None)
        own.pop("CI", None)
        state = {"STACKCTL_STATE": f"{folder}/.stackctl", "XDG_STATE_HOME": folder, "STACKCTL_ENGINE": "embedded"}
        yield own | state | {"TERM": "xterm-256color"}


def visit(chromium: Browser, times: int) -> None:
    """Count visits of the homepage."""
    context = chromium.new_context()
    for _ in range(times):
        context.request.post(f"{URL}/visits/homepage")
    context.close()


def save_terminal(command: str, environment: Mapping[str, str]) -> None:
    """Save a picture of a terminal in which `stackctl COMMAND` was typed."""
    written = Text.from_ansi(settled(run(command, environment=environment)).rstrip())
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    # The empty line at the end keeps a tall font from being cut.
    console.print(Text.assemble(("$ ", "bold green"), (f"stackctl {command}\n", "bold"), written, "\n"))
    svg = console.export_svg(title="", code_format=_SVG, unique_id=command)
    (PICTURES / f"{command}.svg").write_text(svg, encoding="utf-8")


def settled(written: str) -> str:
    """Return the final lines, with their colours, of output that was redrawn in place."""
    lines: list[str] = []
    row = 0
    for part in re.split(r"(?<=\n)|(?=\r\x1b\[\d+A)|(?=\x1b\[J)", written):
        if up := re.match(r"\r\x1b\[(\d+)A", part):
            row -= int(up[1])
        if part.startswith("\x1b[J"):
            del lines[row:]
        text = re.sub(r"\r|\x1b\[\d*[AJK]", "", part)
        if text:
            lines[row : row + 1] = [text]
            row += text.endswith("\n")
    return "".join(lines)


def run(*words: str, environment: Mapping[str, str]) -> str:
    """Run `stackctl` on a terminal and return its output. Exits if it fails."""
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    command = [sys.executable, str(PROJECT / "stackctl.py"), *words]
    with subprocess.Popen(command, stdin=screen, stdout=screen, stderr=screen, env=environment, cwd=PROJECT) as process:
        os.close(screen)
        written = b"".join(_read(keyboard)).decode().replace("\r\n", "\n")
    os.close(keyboard)
    if process.returncode:
        sys.exit(f"stackctl {' '.join(words)} ended with {process.returncode}:\n{written}")
    return written


def _read(terminal: int) -> Iterator[bytes]:
    """Yield the output until the other side is closed, which Linux reports as an error."""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            return
        if not part:
            return
        yield part


def save_page(chromium: Browser, environment: Mapping[str, str]) -> None:
    """Save the page after some traffic: a varying rate of visits, and Redis emptied once."""
    visit(chromium, 1200)
    context = chromium.new_context(viewport={"width": 920, "height": 600}, device_scale_factor=1.25)
    page = context.new_page()
    page.goto(f"{URL}/")
    for second in range(LOOKS):
        if second == LOOKS // 2:
            run("exec", "cache", "--", "redis-cli", "FLUSHALL", environment=environment)
        visit(chromium, 4 + second * second % 13)
        page.wait_for_timeout(900)
    page.screenshot(path=PICTURES / "page.png", full_page=True)
    context.close()


if __name__ == "__main__":
    main()
