# `make demo` runs the main job, `make test` runs every check; both install what they need first.
.PHONY: help demo window test hostile check bench frozen frozen-gpu frozen-check deb clean
.DEFAULT_GOAL := help

venv := .venv
bin := $(venv)/bin
pip := $(bin)/python -m pip --disable-pip-version-check --quiet
# Also pins what builds the package itself.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

CLIP ?= assets/clips/bounce.mp4
QUESTION ?= Describe what you see and hear.

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(venv)/runtime  ## ask the bundled model about the bundled clip (CLIP=… QUESTION=…)
	@$(bin)/vl2 ask "$(CLIP)" "$(QUESTION)"

test: $(venv)/developer check  ## lint, types, import rules and the test suite
	$(bin)/python -m pytest -m "not slow and not gpu" --ignore=tests/faults --ignore=tests/fuzz

hostile: $(venv)/developer  ## damaged files, killed processes, full disks: a few minutes more
	$(bin)/python -m pytest -m "not slow and not gpu" tests/faults tests/fuzz

check: $(venv)/developer  ## lint, types and import rules only
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports

window: $(venv)/desktop  ## open the window
	@$(bin)/vl2

bench: $(venv)/runtime  ## one JSON line of speed figures for the demo bundle
	@$(bin)/vl2 bench

frozen: $(venv)/frozen  ## build the program that needs no Python: dist/vl2
	$(bin)/pyinstaller --noconfirm --log-level WARN --distpath dist --workpath build build.spec

frozen-gpu: frozen $(venv)/developer  ## put what drives NVIDIA GPUs beside it: dist/vl2/gpu
	$(bin)/python -m app.freezing.gpu_pack dist/vl2

frozen-check: frozen deb $(venv)/developer  ## build it and try it out as its user will
	$(bin)/python -m pytest -m "slow or not slow" tests/test_frozen

deb: frozen  ## wrap it into a package for Debian and Ubuntu
	$(bin)/python -m app.freezing.deb dist/vl2 dist

clean:  ## remove the virtual environment and every cache
	rm -rf $(venv) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist

$(venv)/python: make_venv.sh
	@sh make_venv.sh $(venv)
	@touch $@

$(venv)/runtime: $(venv)/python pyproject.toml constraints.txt
	@echo "Installing the runtime into $(venv) ..." >&2
	@$(pip) install --editable .
	@touch $@

$(venv)/developer: $(venv)/desktop
	@echo "Installing the exporter and the developers' tools into $(venv) ..." >&2
	@$(pip) install --editable '.[desktop,export,live,tensorrt]' --group dev
	@sh make_desktop.sh $(venv)
	@touch $@

$(venv)/frozen: $(venv)/desktop
	@echo "Installing what freezes the program into $(venv) ..." >&2
	@$(pip) install --group frozen
	@touch $@

$(venv)/desktop: $(venv)/runtime
	@echo "Installing the window's libraries into $(venv) ..." >&2
	@$(pip) install --editable '.[desktop,live]'
	@touch $@
