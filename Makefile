# The versions of the tools are pinned in .ci/run, which is also what continuous integration runs.

.PHONY: help all fmt lint test race model stress fuzz bench compare soak e2e ci

all: lint test

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1	\2/p' Makefile | expand -t 12

fmt: ## format every Go file and tidy every module
	gofmt -w .
	for mod in $$(find . -name go.mod -not -path '*/.*/*'); do (cd "$$(dirname "$$mod")" && go mod tidy) || exit 1; done

lint: ## what a machine can say about the code, without running it
	bash .ci/run gofmt tidy vet lint vuln gosec build

test: ## the tests of the library
	go test ./...

race: ## the same under the race detector
	go test -race ./...

model: ## 100,000 random programs against a model of an instance, in some minutes
	go test -run '^TestModel$$' -count=1 -timeout 0 ./test -rapid.checks=100000

COUNT ?= 20
stress: ## the tests in which goroutines meet, COUNT times under the race detector, in some minutes
	bash .ci/stress $(COUNT)

FUZZ_SECONDS ?= 50
fuzz: ## random input for all that strangers can write to, for FUZZ_SECONDS in all
	FUZZ_SECONDS=$(FUZZ_SECONDS) bash .ci/run fuzz

REF ?= HEAD
bench: ## the benchmarks of the library, compared with those at REF, in some 6 minutes; .ci/benchstat says how to choose fewer
	bash .ci/benchstat $(REF)

compare: ## other libraries side by side, in under 2 minutes; see bench/README.md
	cd bench && go run ./cmd/bench

FOR ?= 1m
soak: ## minutes (FOR=5m) of mixed load and faults, every delivery checked; see soak/README.md
	cd soak && go run ./cmd/soak -for $(FOR)

e2e: ## the examples in real browsers; screenshots go to artifacts/e2e
	bash .ci/run tools e2e

ci: ## everything that continuous integration checks
	bash .ci/run
