# Every target installs what it needs (scripts/install-*.sh) and works from a fresh clone.
# CONFIGURATION: debug or release. `make test` builds one configuration and uses it for everything.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test test-long bench fuzz sim conformance format install image

help:
	@echo 'make run          build the server, start it with the sample zone, say what to type next'
	@echo 'make test         format, tidy, build, tests, conformance suites'
	@echo 'make test-long    what takes longer; writes Tests/long-results.md'
	@echo 'make conformance  the conformance suites alone, against $$REGDNS or a fresh build'
	@echo 'make bench        paired measurement with knotd and nsd'
	@echo 'make fuzz         parsers against random bytes'
	@echo 'make sim          the simulated cluster with fresh seeds: SEEDS=n of them, 200 otherwise'
	@echo 'make format       format the sources in place'
	@echo 'make install      the release binary to $$PREFIX/bin (default /usr/local)'

run:
	@scripts/run.sh

test:
	@scripts/test.sh

test-long:
	@scripts/test-long.sh

conformance:
	@scripts/conformance.sh

bench:
	@scripts/bench.sh

fuzz:
	@scripts/fuzz.sh

sim:
	@scripts/sim.sh

format:
	@swift format --in-place --recursive Sources Tests
	@echo 'formatted Sources and Tests'

install:
	@scripts/install-regdns.sh

image:
	@echo "regdns: make $@: is not available in this version; 'make help' lists what is" >&2; exit 2
