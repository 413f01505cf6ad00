# Every target sets itself up: it makes .venv, installs what it needs the first time, and is quick the second.
# A setup runs again when pyproject.toml or constraints.txt changes.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
# the torch release that everything is tested with; `make constraints` pins the rest around it
TORCH := 2.13.0
PACKAGES := benchmarks/plugin_packages.txt
DEBIAN_PLUGINS := $(shell sed -n 's/ tests$$//p' $(PACKAGES))
DEBIAN_PLUGINS_CI := $(shell sed -n 's/ ci$$//p' $(PACKAGES))
DEBIAN_PLUGINS_ALL := $(shell sed '/^\#/d; s/ .*//' $(PACKAGES))

EXTRAS_demo := pedalboard,match
EXTRAS_test := all,test,bench
EXTRAS_bench := all,test,bench
EXTRAS_lint := all,test,bench,lint
EXTRAS_docs := docs
EXTRAS_mutants := all,test,mutants
INSTALLED := $(VENV)/.installed

# a process for each core, each with the tests of one file after the other; ARGS='-n 0' runs all in one process
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile -p no:benchmark \
	--durations=10 --durations-min=1

# install packages where that can be done
define debian
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && ! dpkg -s $(1) >/dev/null 2>&1; then \
		echo "Installing $(1)"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1); } >/dev/null \
		|| echo "apt-get could not install $(1); going on without"; \
	fi
endef

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all fuzz bench estimators recovery curves amount instruments style-speed compatibility compatibility-all tutorial style-weights style-encoder style-prior style-any mutants lint format docs wheel plugins plugins-ci plugins-all plugins-vst3 browser constraints clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  ARGS=… is passed on to demo, test, test-all, fuzz, bench, estimators, compatibility, mutants and docs: make test ARGS='-k spsa'"
	@echo "  PYTHON=… picks the interpreter of a new .venv: make test PYTHON=python3.12"

demo: $(INSTALLED)-demo ## find the settings of an effect on a bundled recording, and write a report
	$(BIN)/blackbox-grad demo $(ARGS)

test: $(INSTALLED)-test plugins browser ## run the tests, all but the slow ones
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(INSTALLED)-test plugins browser ## run the slow tests, which test leaves out: statistics, training, full size
	$(PYTEST) -m slow $(ARGS)

fuzz: $(INSTALLED)-test ## break files and arguments of commands with new seeds; ARGS='--seconds 3600'
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py $(ARGS)

bench: $(INSTALLED)-bench plugins ## run the benchmarks, and write docs/measured/benchmarks.md
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-group-by=group,param:address \
		--benchmark-columns=min,median,iqr,rounds $(ARGS)

estimators: $(INSTALLED)-bench plugins ## measure estimators on the tasks of the bench, beside the known results of others
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/blackbox-grad bench estimators --results build/estimators $(ARGS)

recovery: $(INSTALLED)-bench plugins ## look for hidden settings with match, and write docs/measured/match-recovery.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/recovery.py --page docs/measured/match-recovery.md $(ARGS)

amount: $(INSTALLED)-bench plugins ## measure how the sound moves with --amount, and write docs/measured/amount.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/amount.py $(ARGS)

instruments: $(INSTALLED)-bench plugins ## look for hidden patches of instruments, and write docs/measured/instruments.md (hours; it resumes)
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python -m benchmarks.instruments --write docs/measured/instruments.md --reports docs/reports $(ARGS)

curves: $(INSTALLED)-bench plugins ## measure settings that move, and write docs/measured/curves.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/curves.py --page docs/measured/curves.md $(ARGS)

style-speed: $(INSTALLED)-bench plugins ## measure training and matching of style matching, and write docs/measured/style-speed.md
	$(BIN)/python benchmarks/style_speed.py $(ARGS)

compatibility: $(INSTALLED)-bench plugins ## check every effect of the installed plug-in packages, and write docs/measured/plug-ins.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/compatibility.py $(ARGS)

compatibility-all: plugins-all compatibility ## the same with all packages of benchmarks/plugin_packages.txt: nightly, some hours; it resumes

tutorial: $(INSTALLED)-test plugins ## learn hidden settings from three seeds, and write the tutorial's tables and figures
	$(BIN)/python docs/tutorials/write_results.py

style-weights: $(INSTALLED)-test plugins ## train the weights of style matching that come with the package
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/style_weights.py $(ARGS)

style-prior: $(INSTALLED)-test plugins ## learn from the installed plug-ins where parameters usually sit, for searches of styles
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/style_prior.py $(ARGS)

style-any: $(INSTALLED)-bench plugins ## measure style matching of effects that nothing was trained on; it resumes
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/style_any.py $(ARGS)

style-encoder: $(INSTALLED)-test plugins ## measure the style encoder, and write docs/measured/style-encoder.md (an hour of renders; it resumes)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/style_encoder.py $(ARGS)

mutants: $(INSTALLED)-mutants ## break search, estimators and strategy in many places, and list what no test notices (hours; it resumes)
	OMP_NUM_THREADS=1 $(BIN)/mutmut run $(ARGS)
	$(BIN)/python benchmarks/mutants.py

lint: $(INSTALLED)-lint ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)-lint ## repair what lint can repair by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)-docs ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

wheel: $(INSTALLED)-test ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

plugins: ## install the plug-ins that the tests open (root on Debian or Ubuntu)
	$(call debian,$(DEBIAN_PLUGINS))

plugins-ci: ## install the small packages whose verdicts every run of .ci/run holds (root on Debian or Ubuntu)
	$(call debian,$(DEBIAN_PLUGINS_CI))

plugins-all: ## install all packages of benchmarks/plugin_packages.txt (root on Debian or Ubuntu)
	$(call debian,$(DEBIAN_PLUGINS_ALL))

plugins-vst3: ## build VST3 instruments for the tests, from Debian's sources (apt, g++; without them these tests are left out)
	@$(PYTHON) tests/native_plugins/build.py || true

browser: ## install the browser that pages are tested in (root on Debian or Ubuntu)
	$(call debian,chromium)

constraints: $(VENV)/.created ## pin new dependencies in constraints.txt (all to their newest: ARGS=--upgrade)
	$(PIP) uv
	echo 'torch==$(TORCH)' | $(BIN)/uv pip compile pyproject.toml -q --all-extras --universal --python-version 3.10 \
		--constraints - --no-annotate --no-emit-index-url --custom-compile-command 'make constraints' $(ARGS) -o constraints.txt

clean: ## remove what the targets wrote, except .venv
	rm -rf build dist site demo mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find blackbox_grad backends adapters tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	@if [ -e $(VENV)/.by-make ] || [ -e $(VENV)/.created ]; then rm -rf $(VENV); \
		elif [ -e $(VENV) ]; then echo "$(VENV) stays: make did not make it"; fi

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "blackbox-grad needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not here)."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@[ ! -e $(VENV) ] || [ -e $(VENV)/.by-make ] || { \
		echo "$(VENV) is here already, and make did not make it. Remove it, or name another place: make $(MAKECMDGOALS) VENV=.venv-make"; exit 1; }
	@mkdir -p $(VENV) && touch $(VENV)/.by-make
	@$(PYTHON) -m venv --clear $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $(VENV)/.by-make
	@$(PIP) 'pip>=23'
	@touch $@

$(INSTALLED)-%: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "Installing blackbox-grad[$(EXTRAS_$*)] into $(VENV); the first time takes a few minutes"
	@$(PIP) -c constraints.txt -e '.[$(EXTRAS_$*)]'
	@touch $@
