# A private Docker registry on AWS, as a runbook. `make` alone lists the commands.
PARAMS ?= blog
VENV ?= .venv
RUNBOOK = $(VENV)/bin/python -m runbook

help: ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.ready ## run notebooks 00 to 07 on params/$(PARAMS).yml; the registry stays up
	@$(RUNBOOK) run $(PARAMS)

down: ## stop the embedded cloud; its account and images are gone then
	@if [ -x $(VENV)/bin/python ]; then $(RUNBOOK) cloud down; fi

lab: $(VENV)/.ready ## open JupyterLab on notebook 00
	@JUPYTER_PREFER_ENV_PATH=1 $(VENV)/bin/jupyter lab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) \
		--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
		notebooks/00_start_here.ipynb

test: $(VENV)/.ready lint ## all the tests
	@command -v chromium >/dev/null || ./setup.sh chromium || echo "make: no Chromium, so the browser tests are skipped"
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

reliability: $(VENV)/.ready ## the long tests, whose figures docs/reliability.md has; hours
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m long --timeout 0

scan: $(VENV)/.ready .scan/checkov/.ready .scan/parliament/.ready .scan/prowler/.ready ## what security scanners find
	@$(VENV)/bin/python -m pytest -n 0 -m 'long or not long' tests/scan

# Each in a venv of its own: they pin what the runbook pins otherwise.
.scan/%/.ready: tests/scan/%.txt
	@$(or $(PYTHON),python3) -m venv --clear .scan/$*
	@.scan/$*/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

bench: $(VENV)/.ready .bench/ansible/.ready ## what it costs, beside Ansible and a plain script; about an hour
	@$(VENV)/bin/python benchmarks

.bench/%/.ready: benchmarks/%.txt
	@$(or $(PYTHON),python3) -m venv --clear .bench/$*
	@.bench/$*/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

lint: $(VENV)/.ready ## ruff, and whether the notebooks keep to their form
	@$(VENV)/bin/ruff check --quiet . && $(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/python tests/notebooks/shape.py notebooks/*.ipynb

notebooks: $(VENV)/.ready ## execute the notebooks on a fresh embedded cloud and keep their outputs
	@$(VENV)/bin/python tests/refresh_notebooks.py

# uv resolves for every Python and platform at once. It reads its own settings (UV_DEFAULT_INDEX), not pip's.
lock: ## renew requirements.lock: the newest packages that pyproject.toml allows, with their hashes
	@tool=$$(mktemp -d) && trap 'rm -rf "$$tool"' EXIT && \
		$(or $(PYTHON),python3) -m venv "$$tool" && "$$tool/bin/pip" install --quiet --disable-pip-version-check uv && \
		"$$tool/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --custom-compile-command 'make lock' --all-extras --group build \
			--output-file requirements.lock pyproject.toml && \
		for scanner in checkov parliament prowler; do \
			"$$tool/bin/uv" pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url \
				--custom-compile-command 'make lock' --output-file tests/scan/$$scanner.txt tests/scan/$$scanner.in \
				|| exit; \
		done && \
		"$$tool/bin/uv" pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url \
			--custom-compile-command 'make lock' --output-file benchmarks/ansible.txt benchmarks/ansible.in

$(VENV)/.ready: pyproject.toml requirements.lock setup.sh
	@./setup.sh $(VENV)

.PHONY: help run down lab test reliability scan bench lint notebooks lock
