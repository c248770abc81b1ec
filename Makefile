# hvd: `make run` starts the daemon, `make test` runs all tests; both install what they need into .venv first.
# The tests' programs are asked about, and installed by apt-get; their Debian systems stand in /var/cache/hvd-tests.

VENV := .venv
PYTHON ?= python3
# processes that run tests: most tests wait most of the time
SIDE_BY_SIDE ?= 4

# those that a wheel is made for, where they are there; a free-threaded one as python3.14t
PYTHONS ?= python3.11 python3.12 python3.13 python3.14

.PHONY: run test sanitize lint audit docs dist pythons bench deb clean

run: $(VENV)/.run
	$(VENV)/bin/gunicorn

test: $(VENV)/.test
	sh tests/install-programs nginx:nginx promtool:prometheus systemd-analyze:systemd postgres:postgresql pgbouncer:pgbouncer qemu-img:qemu-utils \
	  chromium:chromium chromedriver:chromium-driver node:nodejs npm:npm openssl:openssl zsh:zsh fish:fish groff:groff \
	  caddy:caddy haproxy:haproxy curl:curl \
	  debootstrap:debootstrap systemd-nspawn:systemd-container podman:podman ip:iproute2 lintian:lintian
	$(VENV)/bin/python -m tests.support.debian bookworm trixie
	$(VENV)/bin/python -m pytest -n $(SIDE_BY_SIDE) --dist worksteal

sanitize: $(VENV)/.test
	sh tests/sanitize

lint: $(VENV)/.test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy hvd

audit: $(VENV)/.audit
	$(VENV)/bin/python tests/audit.py

docs: $(VENV)/.test
	$(VENV)/bin/mkdocs build --strict

dist: $(VENV)/.dist
	bash .ci/dist $(PYTHONS)

pythons:
	bash .ci/pythons $(PYTHONS)

# for this machine's Debian, or with ROOT=FOLDER for the Debian there: see deploy/debian/build.sh
deb:
	sh deploy/debian/build.sh $(ROOT)

bench: $(VENV)/.bench
	sh tests/install-programs wrk:wrk
	$(VENV)/bin/python bench/record.py
	$(VENV)/bin/python bench/request.py
	$(VENV)/bin/python bench/scrape.py
	$(VENV)/bin/python bench/own.py
	$(VENV)/bin/python bench/own_scrape.py
	$(VENV)/bin/python bench/broadcast.py
	$(VENV)/bin/python bench/idle.py
	$(VENV)/bin/python bench/top.py
	$(VENV)/bin/python bench/jobs.py

clean:
	rm -rf $(VENV) build dist hvd.1 *.egg-info .mypy_cache .pytest_cache .ruff_cache hvd/*/*.so hvd/*/*/*.so

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hvd needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.13" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/pip setup.cfg setup.py pyproject.toml $(wildcard hvd/*/*.[ch] hvd/*/*/*.[ch])
	$(VENV)/bin/pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/bin/pip setup.cfg setup.py pyproject.toml $(wildcard hvd/*/*.[ch] hvd/*/*/*.[ch])
	$(VENV)/bin/pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.run

$(VENV)/.audit: $(VENV)/.test
	$(VENV)/bin/pip install --quiet 'bandit >=1.8,<2' 'pip-audit >=2.7,<3'
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(VENV)/bin/pip install --quiet --editable '.[bench]'
	touch $@

$(VENV)/.dist: $(VENV)/.run
	$(VENV)/bin/pip install --quiet --editable '.[dist]'
	touch $@
