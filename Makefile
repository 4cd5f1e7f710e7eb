# `make` alone lists what there is. Each target creates what it needs: .venv, a broker, the image.
.DEFAULT_GOAL := help
.PHONY: help demo test soak unit integration e2e chaos quality sim check fmt up down ask logs scale kill pull dead doctor lock docs clean
VENV := .venv/bin
WARREN := $(VENV)/warren
LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header

help: ## What there is
	@echo 'Warren: a goal becomes a report in which every citation holds.'
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## A question about the corpus of this project, answered while the researcher is killed
	@infra/setup
	@infra/setup --broker
	@$(WARREN) demo

up: ## Start the mesh and leave it running (WARREN_MODE=process|docker)
	@infra/setup
	@[ "$$WARREN_MODE" = docker ] || infra/setup --broker
	@$(WARREN) up

down: ## Stop the mesh; what it has stored stays
	@infra/setup
	@$(WARREN) down

ask: ## Ask the running mesh: make ask q="How do X and Y differ?" c=./papers
	@infra/setup
	@[ -n "$$q" ] || { echo 'usage: make ask q="How do X and Y differ?" [c=FOLDER]' >&2; exit 2; }
	@set -- "$$q"; if [ -n "$$c" ]; then set -- "$$@" --corpus "$$c"; fi; exec $(WARREN) ask "$$@"

logs: ## Logs of the mesh, or of one service: make logs s=researcher
	@infra/setup
	@$(WARREN) logs $(s)

scale: ## Run n copies of a service: make scale s=researcher n=3
	@infra/setup
	@[ -n "$(s)" ] && [ -n "$(n)" ] || { echo 'usage: make scale s=SERVICE n=COPIES' >&2; exit 2; }
	@$(WARREN) scale $(s) $(n)

kill: ## SIGKILL a service, to see it come back: make kill s=researcher
	@infra/setup
	@[ -n "$(s)" ] || { echo 'usage: make kill s=SERVICE' >&2; exit 2; }
	@$(WARREN) kill $(s)

pull: ## Fetch a model into the Ollama of the running mesh: make pull m=qwen3:8b
	@infra/setup
	@[ -n "$(m)" ] || { echo 'usage: make pull m=MODEL' >&2; exit 2; }
	@$(WARREN) models pull "$(m)"

dead: ## Messages that could not be handled, each with its reason
	@infra/setup
	@$(WARREN) dead list

doctor: ## What is installed, reachable, wrong, and what to do about it
	@infra/setup
	@$(WARREN) doctor

test: ## All tests, lane by lane (the Docker lane where an engine answers)
	@infra/setup --dev --broker
	@tests/lanes

soak: ## What the lanes only sample, whole: every crash point, every fault, ten minutes at full load (an hour or so)
	@infra/setup --dev --broker
	@WARREN_SOAK=1 $(VENV)/python -m pytest -rs tests/crash tests/e2e/process/test_8_faults.py tests/e2e/docker/test_6_faults.py \
	  tests/integration/test_hangs.py tests/integration/test_broker_away.py
	@$(VENV)/python -m tests.sim --schedules 15000 --sites

unit: ## The tests without any I/O, in seconds
	@infra/setup --dev
	@tests/lanes unit

integration: ## One real thing at a time: broker, databases
	@infra/setup --dev --broker
	@tests/lanes integration

e2e: ## The whole mesh, as processes, and in containers where an engine answers
	@infra/setup --dev --broker
	@tests/lanes process docker

chaos: ## Kill a mesh in many ways while it works, and count: make chaos [KILLS= GOALS= SEED= TARGET= STORM=1]
	@infra/setup --dev
	@[ "$(TARGET)" = docker ] || infra/setup --broker
	@$(VENV)/python -m tests.chaos $(if $(KILLS),--kills $(KILLS)) $(if $(GOALS),--goals $(GOALS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(TARGET),--target $(TARGET)) $(if $(STORM),--storm $(STORM))

quality: ## Planted facts found, false ones not repeated, turned sentences refused: make quality [SEEDS=3 SEED=N OLLAMA=URL | DOCS=1 or a folder]
	@infra/setup --dev
	@$(if $(DOCS),$(VENV)/python -m benchmarks.answers $(if $(filter-out 1,$(DOCS)),--docs $(DOCS)),$(VENV)/python -m tests.quality $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED),--seed $(SEED)) $(if $(OLLAMA),--ollama $(OLLAMA)))

sim: ## Seeded schedules of crashes on a simulated broker and clock: make sim [SCHEDULES=10000] [SEED=N replays one]
	@infra/setup --dev
	@$(VENV)/python -m tests.sim $(if $(SEED),--seed $(SEED),--schedules $(or $(SCHEDULES),10000) --sites)

check: ## ruff, formatting, mypy, and who may import whom
	@infra/setup --dev
	@failed=; for tool in "ruff check ." "ruff format --check ." mypy lint-imports; do \
	  echo "$$tool"; $(VENV)/$$tool || failed="$$failed $${tool%% *}"; done; \
	[ -z "$$failed" ] || { echo "check failed:$$failed" >&2; exit 1; }

fmt: ## Format the code and mend what ruff can mend
	@infra/setup --dev
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

docs: ## Write what is generated: broker definitions, JSON Schemas, AsyncAPI
	@infra/setup --dev
	$(VENV)/python -m shared.messaging.broker_setup --print > infra/rabbitmq/definitions.json
	$(VENV)/python -m docs.generate

lock: ## Resolve the dependencies anew (needs uv)
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml --extra docker -c requirements.lock -o infra/requirements.lock
	$(LOCK) pyproject.toml --extra anthropic -c requirements.lock -o infra/anthropic.lock
	$(LOCK) pyproject.toml --extra docker --extra anthropic --group dev -c requirements.lock -o tests/requirements.lock

clean: ## Stop the mesh of this folder and remove all that was made here: .venv, .warren, containers, volumes
	@[ ! -x $(WARREN) ] || $(WARREN) down >/dev/null 2>&1 || true
	@docker compose --profile '*' down --volumes --remove-orphans >/dev/null 2>&1 || true
	rm -rf .venv .warren build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
