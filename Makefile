# Every task of this repository is a target here. `make` alone lists them.
# A target first installs what it needs (scripts/install.sh), so that it works right after a clone.

PYTHON := .venv/bin/python
CLUSTER := $(PYTHON) -m localcluster
REPLICATED := $(PYTHON) -m clusterctl
MANAGE := $(CLUSTER) exec -- -m api.manage

# Arguments of targets are taken from the command line only. The environment may hold variables with these names, as WSL
# sets NAME.
$(foreach name,ARGS FOLLOW FROM HEADLESS MINUTES NAME NAMES OUT PICTURES PROCESSES QUICK REPLICAS SCENARIOS SCOPES SEED SHARDS TIME UPGRADE USERS WORKERS,\
	$(if $(filter command,$(origin $(name))),,$(eval override undefine $(name))))
# $(call quoted,NAME) is the argument as it was typed, as one word of the shell. Every argument is quoted so, except
# ARGS, which is a piece of a command line. `each` quotes each word, `given` has a default, `who` requires a name.
quoted = '$(subst ','\'',$(value $1))'
each = $(foreach one,$(value $1),'$(subst ','\'',$(one))')
given = $(if $(value $1),$(call quoted,$1),$2)
who = $(if $(filter-out -%,$(firstword $(value NAME))),$(call quoted,NAME),$(error give the name: NAME=alice, beginning with a letter or digit))
$(if $(filter command,$(origin TARANTKV_NEW_PASSWORD)),$(error set TARANTKV_NEW_PASSWORD in the environment: every \
	user of this machine can read the arguments of make))
# Settings that are given as arguments reach the programs as they were typed, too.
$(foreach name,$(filter TARANTKV_%,$(.VARIABLES)),\
	$(if $(filter command,$(origin $(name))),$(eval override export $(name) := $$(value $(name)))))
# The default is set here, not by $(or …): there the comma would end the argument.
SCOPES ?= read,write
# Each process of the test run starts its own cluster and waits about half of the time, so three processes keep two
# processors busy. Tests that stand together run in one process, because they share the servers that they start.
TEST_PROCESSES ?= 3

# Variables that a shell may have set for other programs, and that would change how ours run.
unexport BASH_ENV CDPATH ENV GREP_OPTIONS POSIXLY_CORRECT VIRTUAL_ENV
unexport PYTHONDEVMODE PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONINSPECT PYTHONIOENCODING PYTHONOPTIMIZE PYTHONPATH \
	PYTHONPLATLIBDIR PYTHONSAFEPATH PYTHONSTARTUP PYTHONUSERBASE PYTHONVERBOSE PYTHONWARNINGS
export PYTHONUTF8 := 1

UV_COMPILE := $(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

# The compose file requires its secrets, even if it is only checked.
LINT_ENV := env TARANTKV_JWT_SECRET=x TARANTKV_ADMIN_PASSWORD=x TARANTKV_REDIS_PASSWORD=x \
	TARANTKV_REDIS_WORKER_PASSWORD=x TARANTKV_STORE_PASSWORD=x

# The tests that make test-lowest runs by default; make test-lowest ARGS=tests runs all.
LOWEST_TESTS := tests/unit tests/contract

# Each of these targets is also a hook in .pre-commit-config.yaml.
LINTS := lint-style lint-types lint-layers lint-lengths lint-lua lint-shell lint-compose lint-docs

.DEFAULT_GOAL := help
.PHONY: help install compiled installed up down status logs scale credentials test chaos pairs faults-report fuzz test-lua test-python \
	test-browser test-compiled test-lowest coverage check docs lint lint-tools $(LINTS) hooks format clean bench soak load overload worst env lock audit \
	user-add user-set-password user-set-scopes user-disable user-enable user-remove user-list backup restore \
	cluster-up cluster-status cluster-down shard-add shard-drain replica-add replica-replace \
	cluster-backup cluster-restore

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-18s %s\n' "$$name" "$$text"; done

install:
	@scripts/install.sh

compiled: install ## compile the modules that every request passes through; needs a C compiler and some minutes
	$(PYTHON) scripts/compile.py

installed:
	@[ -x $(PYTHON) ] || { echo "Nothing is installed yet: run make up." >&2; exit 1; }

up: install ## install what is missing, start everything, and print its address
	@$(CLUSTER) up

down: ## stop everything; keeps the data
	@if [ -x $(PYTHON) ]; then $(CLUSTER) down; else echo "Nothing is installed, so nothing runs."; fi

status: installed ## show the state of each process
	@$(CLUSTER) status

logs: installed ## print the last lines of the logs; NAMES="api worker-1" selects processes, FOLLOW=1 continues
	@$(CLUSTER) logs $(if $(FOLLOW),--follow) -- $(call each,NAMES)

scale: installed ## change the number of workers: make scale WORKERS=4
	@$(CLUSTER) scale -- $(if $(value WORKERS),$(call quoted,WORKERS),$(error give the number: make scale WORKERS=4))

credentials: installed ## print the administrator's login as JSON, from .env: make -s credentials | curl -d @- …
	@$(CLUSTER) credentials

backup: installed ## copy every shard's data while the system runs, into .backups/ or OUT=directory
	@$(CLUSTER) backup $(if $(value OUT),-- $(call quoted,OUT))

restore: installed ## put a backup into an empty .data/, before make up: FROM=.backups/2026-01-31T12-00-00
	@$(CLUSTER) restore -- $(if $(value FROM),$(call quoted,FROM),$(error give the backup: FROM=.backups/2026-01-31T12-00-00))

cluster-up: install ## start a cluster of replica sets on Tarantool 3 here: SHARDS=2 REPLICAS=3; docs/operations.md
	@$(REPLICATED) up $(if $(value SHARDS),--shards $(call quoted,SHARDS)) $(if $(value REPLICAS),--replicas $(call quoted,REPLICAS))

cluster-status: installed ## show that cluster's leaders, instances, lags, memory and buckets
	@$(REPLICATED) status

shard-add: installed ## add a shard to that cluster while it runs, and move its share of the buckets there
	@$(REPLICATED) shard-add

shard-drain: installed ## move a shard's buckets to the others, then remove it: NAME=s3
	@$(REPLICATED) shard-drain -- $(if $(value NAME),$(call quoted,NAME),$(error give the shard: NAME=s3))

replica-add: installed ## add an instance to a shard of that cluster: SHARD=s1
	@$(REPLICATED) replica-add -- $(if $(value SHARD),$(call quoted,SHARD),$(error give the shard: SHARD=s1))

replica-replace: installed ## replace an instance whose machine is lost by a new one: NAME=s1-2
	@$(REPLICATED) replica-replace -- $(if $(value NAME),$(call quoted,NAME),$(error give the instance: NAME=s1-2))

cluster-backup: installed ## copy every shard of that cluster while it runs, into .backups/ or OUT=directory
	@$(REPLICATED) backup $(if $(value OUT),-- $(call quoted,OUT))

cluster-restore: installed ## put such a backup into an empty .cluster/, before make cluster-up: FROM=directory
	@$(REPLICATED) restore -- $(if $(value FROM),$(call quoted,FROM),$(error give the backup: FROM=.backups/cluster-2026-01-31T12-00-00))

cluster-down: installed ## stop that cluster; keeps the data in .cluster/
	@$(REPLICATED) down

check: lint docs test ## run all that continuous integration runs

test: test-python ## run all tests, the shard's Lua tests too; starts the servers that they need

chaos: install ## inject random faults under load for MINUTES=30 and check all promises; SEED=n repeats a run
	$(PYTHON) -m tests.faults.chaos --minutes $(call given,MINUTES,30) $(if $(value SEED),--seed $(call quoted,SEED)) $(ARGS)

pairs: install ## inject every pair of faults at the same time, on TEST_PROCESSES clusters at once; about an hour
	$(PYTHON) -m pytest -n $(TEST_PROCESSES) -m long $(or $(ARGS),tests/faults/test_pairs.py)

faults-report: install ## run every fault test in its long form, then chaos; writes the results into docs/reliability.md; about an hour
	$(PYTHON) -m tests.faults.report run --minutes $(call given,MINUTES,30) $(if $(value SEED),--seed $(call quoted,SEED))

fuzz: install ## send random bad input for MINUTES=10; prints how to repeat a failure; SEED=n starts with that seed
	$(PYTHON) -m tests.fuzz.long --minutes $(call given,MINUTES,10) --processes $(TEST_PROCESSES) $(if $(value SEED),--seed $(call quoted,SEED))

test-lua: install
	tarantool tarantool-cluster/test/run.lua

test-python:
	@scripts/install.sh test
	$(PYTHON) -m pytest -n $(TEST_PROCESSES) --dist worksteal $(ARGS)

test-browser: ## test the console in Chromium, which it installs; PICTURES=1 takes the screenshots of docs/console.md again
	@scripts/install.sh browser
	$(if $(PICTURES),CONSOLE_PICTURES=docs/images )$(PYTHON) -m pytest -m browser tests/console $(ARGS)

coverage: ## run the Python tests and report branches that no test takes; fails below the floor
	@scripts/install.sh test
	@rm -rf .coverage && mkdir .coverage
	$(PYTHON) -m coverage run -m pytest -n $(TEST_PROCESSES) $(ARGS)
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report

test-lowest: .venv-lowest/installed.lock ## run tests with the lowest versions that pyproject.toml allows; ARGS=tests runs all
	.venv-lowest/bin/python -m pytest -n $(TEST_PROCESSES) $(or $(ARGS),$(LOWEST_TESTS))

.venv-lowest/installed.lock: requirements-lowest.lock | install
	$(PYTHON) -I -m venv --clear .venv-lowest
	.venv-lowest/bin/python -I -m pip --quiet --disable-pip-version-check --no-input \
		install --no-user --no-deps --require-hashes -r $<
	@cp -R client .venv-lowest/client
	.venv-lowest/bin/python -I -m pip --quiet --disable-pip-version-check --no-input \
		install --no-user --no-deps --no-index --no-build-isolation .venv-lowest/client
	@cp $< $@

test-compiled: compiled ## run the tests of running systems with the compiled modules
	@scripts/install.sh test
	TARANTKV_TEST_COMPILED=required $(PYTHON) -m pytest -n $(TEST_PROCESSES) --dist worksteal \
		$(or $(ARGS),tests/contract tests/integration tests/security tests/faults)

docs: ## update generated pages and build the site of docs/ into site/; works offline after the first time
	@scripts/install.sh docs
	@$(PYTHON) -m docsite write
	@$(PYTHON) -m docsite build
	@echo "The site is in site/index.html"

lint: lint-tools ## check style, types, layers, lengths, Lua, shell scripts, the compose files and the pages of docs/
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint-types $(filter-out lint-types,$(LINTS))

lint-tools:
	@scripts/install.sh lint

lint-style: | lint-tools
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check

lint-types: | lint-tools
	$(PYTHON) -m mypy

# Calls the program without its wrapper in .venv/bin, because the wrapper cannot start if the path contains a space.
lint-layers: | lint-tools
	$(PYTHON) -c 'import sys; sys.path.insert(0, "client/src"); from importlinter.cli import lint_imports_command as run; run()' \
		--no-logo --no-cache

lint-lengths: | lint-tools
	$(PYTHON) scripts/lengths.py --check

lint-lua: | lint-tools
	@if command -v luacheck >/dev/null; then luacheck --quiet tarantool-cluster docker tests; else echo "luacheck: not installed"; fi

lint-shell: | lint-tools
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh docker/*.sh .ci/run; else echo "shellcheck: not installed"; fi

lint-compose: | lint-tools
	$(PYTHON) -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml docker-compose.cluster.yml
	@if docker compose version >/dev/null 2>&1; then \
		$(LINT_ENV) docker compose config --quiet; $(LINT_ENV) docker compose -f docker-compose.cluster.yml config --quiet; fi
	@if command -v docker-compose >/dev/null; then $(LINT_ENV) docker-compose config --quiet; fi

lint-docs: | lint-tools
	$(PYTHON) -m docsite check

hooks: install ## run the checks of make lint at each commit (pre-commit); git commit --no-verify skips them once
	$(PYTHON) -m pre_commit install

format: install ## format the code and fix what ruff can fix
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

clean: ## stop everything and remove the data and caches; keeps .env and .venv
	@if [ -x $(PYTHON) ]; then $(CLUSTER) clean; fi
	@rm -rf .compiled .data .chaos site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

bench: ## compare the speed with simpler systems, about 5 minutes; QUICK=1 takes 1; OUT=.bench, ARGS="--help"
	@scripts/install.sh bench
	$(PYTHON) -m loadtest.bench $(if $(QUICK),--quick) $(if $(value OUT),--out $(call quoted,OUT)) $(ARGS)

soak: ## run full load for MINUTES=10 and check that memory, rate and cost stay the same; OUT=.bench
	@scripts/install.sh bench
	$(PYTHON) -m loadtest.bench.soak --minutes $(call given,MINUTES,10) $(if $(value OUT),--out $(call quoted,OUT)) $(ARGS)

load: installed ## run locust against the running system: web page on port 8089, or HEADLESS=1 USERS=32 TIME=60s; SCENARIOS="HotReads"
	@$(CLUSTER) exec -- -m locust -f loadtest/locustfile.py --processes $(call given,PROCESSES,2) --users $(call given,USERS,32) \
		--spawn-rate $(call given,USERS,32) --web-host 127.0.0.1 --stop-timeout 10 \
		$(if $(HEADLESS),--headless --run-time $(call given,TIME,60s)) $(ARGS) $(call each,SCENARIOS)

overload: installed ## send the running system three times the load that it can serve: MINUTES=5, ARGS="--help"
	@$(CLUSTER) exec -- -m loadtest.overload --minutes $(call given,MINUTES,5) $(ARGS)

worst: installed ## measure how long the worst request of each kind makes another client wait: ARGS="--help"
	$(PYTHON) -m loadtest.worst $(ARGS)

env: ## write random secrets into .env if they are missing; needs neither Python nor an installation
	@scripts/env.sh

lock: install ## write the lock files again after a change of pyproject.toml; UPGRADE=1 takes newer versions
	$(UV_COMPILE) pyproject.toml -o requirements.lock
	$(UV_COMPILE) --group contract -c requirements.lock -o requirements-contract.lock
	$(UV_COMPILE) pyproject.toml client/pyproject.toml --group dev -c requirements.lock -c requirements-contract.lock -o requirements-dev.lock
	$(UV_COMPILE) pyproject.toml --extra traces -c requirements-dev.lock -o requirements-traces.lock
	$(UV_COMPILE) --group bench -c requirements-dev.lock -o requirements-bench.lock
	$(UV_COMPILE) --group docs -c requirements-dev.lock -o requirements-docs.lock
	$(UV_COMPILE) --group browser -c requirements-dev.lock -c requirements-bench.lock -o requirements-browser.lock
	$(UV_COMPILE) --group audit -c requirements-dev.lock -c requirements-bench.lock -o requirements-audit.lock
	$(UV_COMPILE) --resolution lowest-direct pyproject.toml client/pyproject.toml --group dev -o requirements-lowest.lock

audit: ## look up known vulnerabilities of the locked packages; fails with 1 if there are any, 2 if the source is down
	@scripts/install.sh audit
	@$(PYTHON) scripts/audit.py requirements*.lock

user-add: installed ## add a user: make user-add NAME=alice SCOPES=read,write (prints a password, or takes TARANTKV_NEW_PASSWORD)
	@$(MANAGE) user-add $(call who) --scopes $(call quoted,SCOPES)

user-set-password: installed ## give a user a new password: NAME=alice
	@$(MANAGE) set-password $(call who)

user-disable: installed ## reject a user's logins and tokens: NAME=alice
	@$(MANAGE) disable $(call who)

user-enable: installed ## enable a disabled user again: NAME=alice
	@$(MANAGE) enable $(call who)

user-set-scopes: installed ## give a user other scopes: NAME=alice SCOPES=read
	@$(MANAGE) set-scopes $(call who) --scopes $(if $(filter command,$(origin SCOPES)),$(call quoted,SCOPES),$(error give the scopes: SCOPES=read))

user-remove: installed ## remove a user, whose tokens are no longer accepted: NAME=alice
	@$(MANAGE) remove $(call who)

user-list: installed ## list all users
	@$(MANAGE) list
