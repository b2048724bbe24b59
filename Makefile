# Everything runs in .venv, which each target makes and fills as it needs. GNU make 3.81 (macOS) suffices.
#
#   make demo                     upscale the sample clip and compare it with the source
#   make demo VIDEO=/any/video    the same with a video of yours
#   make demo-aws                 both services of AWS, simulated on this machine: requests, events, results
#   make demo-alibaba             smart production and a transcode on a simulated Alibaba Cloud, told of by its queue
#   make test check test-torch    what CI runs
#                                 (test-torch: the tests that need torch and OpenVINO, which are large)
#   make interop                  clients of Alibaba Cloud that nobody here wrote, against its simulator
#   make bench bench-engine docs  measure; write the generated reference pages
#   make site docs-serve          build the documentation as a site; show it on loopback while it is edited

PYTHON ?= python3
VIDEO ?= examples/demo/sample-480x270.mp4
SCALE ?= 2
OUT ?= demo-out
# Tests wait for processes a third of their time, so one worker more than there are processors.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(1 + len(getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)))')
export VIDEO SCALE OUT

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

.PHONY: help demo demo-aws demo-alibaba test test-torch check lint types imports dist interop bench bench-engine bench-aws bench-alibaba docs site docs-serve clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed, {sys.executable} is {sys.version.split()[0]}; try make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv .venv

.venv/local.stamp: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing mediabroker[local] into .venv"
	@$(PIP) install -c constraints.txt -e '.[local]'
	@touch $@

.venv/sandbox.stamp: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing mediabroker[sandbox] into .venv"
	@$(PIP) install -c constraints.txt -e '.[sandbox]'
	@touch $@

.venv/dev.stamp: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing mediabroker[dev] into .venv"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

.venv/torch.stamp: .venv/dev.stamp
	@echo "installing mediabroker[training,openvino] into .venv"
	@$(PIP) install -c constraints.txt -e '.[training,openvino]'
	@touch $@

# Variables reach the recipe through the environment, so that any path is one word, with spaces and quotes in it.
# Jobs of the demo are kept in its own folder, not among the user's.
demo: .venv/local.stamp
	@mkdir -p "$$OUT"
	@name=$$(basename "$$VIDEO"); name=$${name%.*}-x$$SCALE; \
	MEDIABROKER_DATA_DIR="$$OUT/jobs" $(BIN)/mediabroker upscale "$$VIDEO" "$$OUT/$$name.mp4" \
		--scale "$$SCALE" --overwrite --compare "$$OUT/$$name.html"

demo-aws: .venv/sandbox.stamp
	@mkdir -p "$$OUT/aws"
	@$(BIN)/python examples/demo_aws/demo.py "$$VIDEO" "$$OUT/aws"

demo-alibaba: .venv/sandbox.stamp
	@mkdir -p "$$OUT/alibaba"
	@$(BIN)/python examples/demo_alibaba/demo.py "$$VIDEO" "$$OUT/alibaba"

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

# What the suite leaves out where torch and OpenVINO are not installed; they take a gigabyte.
test-torch: .venv/torch.stamp
	$(BIN)/python -m pytest tests/worker/test_compile.py tests/worker/test_silence.py tests/worker/test_runtime_*.py tests/worker/test_training_*.py $(ARGS)

check: lint types imports dist site

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev.stamp
	$(BIN)/mypy

imports: .venv/dev.stamp
	$(BIN)/lint-imports

# The sdist and the wheel, and that a stranger who installs the wheel can start it.
dist: .venv/dev.stamp
	@rm -rf build/dist build/installed
	$(BIN)/hatchling build -d build/dist
	@$(PIP) install --no-deps --no-index --target build/installed build/dist/*.whl
	@for each in mediabroker/py.typed mediabroker/compare/page.html neuron_worker/weights/fast-x2.onnx \
		mediabroker_aws/deploy/template.yaml mediabroker_aws/deploy/function/Dockerfile; do \
		test -f build/installed/$$each || { echo "the wheel lacks $$each"; exit 1; }; done
	cd build && PYTHONPATH=installed ../$(BIN)/python -m mediabroker --version

# Alibaba Cloud's own clients against its simulator, each in an environment of its own; what cannot be had is left out.
interop: .venv/dev.stamp
	$(BIN)/python -m tests.interop $(ARGS)

bench: .venv/dev.stamp
	@for each in benchmarks/*.py; do echo "== $$each"; $(BIN)/python "$$each" || exit 1; done

# The engine beside its bare model and beside scripts; about eight minutes. ARGS='--page --rounds 5' writes docs.
bench-engine: .venv/dev.stamp
	$(BIN)/python -m benchmarks.engine $(ARGS)

# The services on the simulators beside the tools they are made of; about seventeen minutes.
bench-aws: .venv/dev.stamp
	$(BIN)/python -m benchmarks.aws $(ARGS)

# Provider, queues and storage beside the vendor's bare SDKs, over the simulated cloud; about five minutes.
bench-alibaba: .venv/dev.stamp
	@for each in mps queues storage; do echo "== $$each"; $(BIN)/python -m benchmarks.alibaba.$$each $(ARGS) || exit 1; done

docs: .venv/dev.stamp
	$(BIN)/typer mediabroker.cli.app utils docs --name mediabroker --title 'The command line' --output docs/reference/commands.md
	$(BIN)/python -m mediabroker_alibaba.catalogue_page > docs/reference/smart-production.md
	$(BIN)/python -m docs.generate.fields > docs/reference/fields.md
	$(BIN)/python -m docs.generate.lines README.md docs/howto/add-a-provider.md

# The documentation as a site: `site` builds it, strictly, and `docs-serve` shows it on loopback while it is edited.
site: .venv/dev.stamp
	$(BIN)/mkdocs build --quiet --site-dir build/site

docs-serve: .venv/dev.stamp
	$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8000

clean:
	rm -rf .venv build demo-out
