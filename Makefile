# Everything that is done with this repository, by name. `make` alone lists it.
# Targets install what they need (scripts/install.sh), so that each works right after a clone.

PYTHON := .venv/bin/python
CLUSTER := $(PYTHON) -m localcluster
MANAGE := $(CLUSTER) exec -- -m api.manage
# Here and not in $(or …), where a comma would end the argument.
SCOPES ?= read,write
# Each process of the test run starts its own cluster.
TEST_PROCESSES ?= 2
UV_COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

# The compose file insists on its secrets, also where it is only looked at.
LINT_ENV := env TARANTKV_JWT_SECRET=x TARANTKV_ADMIN_PASSWORD=x TARANTKV_REDIS_PASSWORD=x \
	TARANTKV_REDIS_WORKER_PASSWORD=x TARANTKV_STORE_PASSWORD=x

.DEFAULT_GOAL := help
.PHONY: help install installed up down status logs scale test chaos faults-report fuzz test-lua test-python lint format clean \
	bench soak load overload env lock audit user-add user-set-password user-disable user-enable user-list

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-18s %s\n' "$$name" "$$text"; done

install:
	@scripts/install.sh

installed:
	@[ -x $(PYTHON) ] || { echo "Nothing is installed yet: make up does it." >&2; exit 1; }

up: install ## install what is missing, start everything, and say how to reach it
	@$(CLUSTER) up

down: ## stop everything; the data stays
	@if [ -x $(PYTHON) ]; then $(CLUSTER) down; else echo "Nothing is installed, so nothing runs."; fi

status: installed ## what runs
	@$(CLUSTER) status

logs: installed ## the last lines of the logs; NAMES="api worker-1" chooses, FOLLOW=1 goes on
	@$(CLUSTER) logs $(if $(FOLLOW),--follow) $(NAMES)

scale: installed ## change the number of workers: make scale WORKERS=4
	@$(CLUSTER) scale $(or $(WORKERS),$(error say how many: make scale WORKERS=4))

test: test-lua test-python ## run all tests, on servers of their own

chaos: install ## random faults under load for MINUTES=30, all promises checked; prints its seed; SEED=n repeats one
	$(PYTHON) -m tests.faults.chaos --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(ARGS)

faults-report: install ## every fault in its long form, then chaos; what came of it goes into docs/reliability.md; about an hour
	$(PYTHON) -m tests.faults.report run --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

fuzz: install ## random bad input for MINUTES=10; prints how to repeat what it finds; SEED=n begins with that one
	$(PYTHON) -m tests.fuzz.long --minutes $(or $(MINUTES),10) --processes $(TEST_PROCESSES) $(if $(SEED),--seed $(SEED))

test-lua: install
	tarantool tarantool-cluster/test/run.lua

test-python: install
	$(PYTHON) -m pytest -n $(TEST_PROCESSES) $(ARGS)

lint: ## check style, types, Lua, shell scripts and the compose file
	@scripts/install.sh lint
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	@if command -v luacheck >/dev/null; then luacheck --quiet tarantool-cluster docker; else echo "luacheck: not installed"; fi
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh docker/*.sh .ci/run; else echo "shellcheck: not installed"; fi
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@if docker compose version >/dev/null 2>&1; then $(LINT_ENV) docker compose config --quiet; fi
	@if command -v docker-compose >/dev/null; then $(LINT_ENV) docker-compose config --quiet; fi

format: install ## format the code and mend what can be mended by itself
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

clean: ## stop everything; remove the data, caches too; .env and .venv stay
	@if [ -x $(PYTHON) ]; then $(CLUSTER) clean; fi
	@rm -rf .data .chaos .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

bench: ## measure against what one would write instead, about 5 minutes; QUICK=1 takes 1; OUT=.bench, ARGS="--help"
	@scripts/install.sh bench
	$(PYTHON) -m loadtest.bench $(if $(QUICK),--quick) $(if $(OUT),--out $(OUT)) $(ARGS)

soak: ## full load for MINUTES=10, and whether memory, rate and cost stay what they were; OUT=.bench
	@scripts/install.sh bench
	$(PYTHON) -m loadtest.bench.soak --minutes $(or $(MINUTES),10) $(if $(OUT),--out $(OUT)) $(ARGS)

load: installed ## locust against the running system: web page on port 8089, or HEADLESS=1 USERS=32 TIME=60s; SCENARIOS="HotReads"
	$(CLUSTER) exec -- -m locust -f loadtest/locustfile.py --processes $(or $(PROCESSES),2) --users $(or $(USERS),32) \
		--spawn-rate $(or $(USERS),32) --web-host 127.0.0.1 --stop-timeout 10 \
		$(if $(HEADLESS),--headless --run-time $(or $(TIME),60s)) $(ARGS) $(SCENARIOS)

overload: installed ## offer the running system three times what it can take: MINUTES=5, ARGS="--help"
	$(PYTHON) -m loadtest.overload --minutes $(or $(MINUTES),5) $(ARGS)

env: ## write .env with random secrets where it is missing or incomplete; needs no installation
	@python3 localcluster/dotenv.py

lock: install ## write the lock files anew after a change of pyproject.toml; UPGRADE=1 takes newer versions
	$(UV_COMPILE) pyproject.toml -o requirements.lock
	$(UV_COMPILE) --group contract -c requirements.lock -o requirements-contract.lock
	$(UV_COMPILE) pyproject.toml --group dev -c requirements.lock -c requirements-contract.lock -o requirements-dev.lock
	$(UV_COMPILE) --group bench -c requirements-dev.lock -o requirements-bench.lock
	$(UV_COMPILE) --group audit -c requirements-dev.lock -c requirements-bench.lock -o requirements-audit.lock
	$(UV_COMPILE) --resolution lowest-direct pyproject.toml --group dev -o requirements-lowest.lock

audit: ## ask for known vulnerabilities of the locked packages; fails with 1 where there are any, 2 where nobody answers
	@scripts/install.sh audit
	@$(PYTHON) scripts/audit.py requirements*.lock

user-add: installed ## add a user: make user-add NAME=alice SCOPES=read,write (prints a password, or takes TARANTKV_NEW_PASSWORD)
	@$(MANAGE) user-add '$(or $(NAME),$(error say who: NAME=alice))' --scopes '$(SCOPES)'

user-set-password: installed ## give a user a new password: NAME=alice
	@$(MANAGE) set-password '$(or $(NAME),$(error say who: NAME=alice))'

user-disable: installed ## shut a user out, also with tokens that are still valid: NAME=alice
	@$(MANAGE) disable '$(or $(NAME),$(error say who: NAME=alice))'

user-enable: installed ## let a user in again: NAME=alice
	@$(MANAGE) enable '$(or $(NAME),$(error say who: NAME=alice))'

user-list: installed ## all users
	@$(MANAGE) list
