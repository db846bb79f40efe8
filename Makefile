# make test runs the checks that a change needs, make check all of them. Both install what they need. make help lists the rest.

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
RUFF        := 0.15.0
GOSEC       := github.com/securego/gosec/v2/cmd/gosec@v2.22.4
EMULATOR    := .build/emulator
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4

# Every Go module of the repository. test/make_test.go checks that each target below covers them all.
TREE    := find . \( -name node_modules -o -name '.?*' \) -prune -o
MODULES := $(sort $(patsubst %/go.mod,%,$(shell $(TREE) -name go.mod -print)))
# $(call each,COMMAND) runs a command in every module and stops at the first failure.
each = (for module in $(MODULES); do (cd $$module && $(1)) || exit 1; done)
# Packages whose tests only call the CDK. It runs in a Node process, where the race detector finds nothing.
CDK_PACKAGES := ./stacks/... ./test/synth/... ./test/reference/...

# test/setup installs here what it doesn't find on the PATH.
export PATH := $(CURDIR)/.build/tools/bin:$(PATH)
# Silence the CDK's long warning that Node 20 is old.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1

.PHONY: test
test: setup lint ## install what is missing and run the checks that a change needs; 8 minutes on two cores
	@$(MAKE) --no-print-directory unit SHORT=-short

.PHONY: check
check: setup lint ## everything: all tests, a deployment in an emulator of AWS, gosec, fuzzing; 25 minutes
	@$(MAKE) --no-print-directory rest

.PHONY: rest
rest: $(EMULATOR)/installed # check without the steps that test has done too
	@$(MAKE) --no-print-directory unit gosec fuzz

.PHONY: setup
setup: ## install what the tests need and this machine doesn't have
	@test/setup

.PHONY: lint
lint: .build/ruff-$(RUFF)/bin/ruff ## gofmt, vet and staticcheck for every module, ruff for Python
	@unformatted=$$(gofmt -l $$($(TREE) -name '*.go' -print)); test -z "$$unformatted" || { echo "gofmt would change:" $$unformatted; exit 1; }
	@$(call each,go vet ./... && go run $(STATICCHECK) ./...)
	@$< check --quiet --no-cache stacks test

.build/ruff-$(RUFF)/bin/ruff:
	@echo "installing ruff $(RUFF)"
	@python3 -m venv .build/ruff-$(RUFF)
	@.build/ruff-$(RUFF)/bin/pip install --quiet --disable-pip-version-check ruff==$(RUFF)

# docs/security.md explains why these rules are excluded. A comment #nosec explains it for a single line.
GOSEC_EXCLUDED := G104,G301,G302,G304,G306

.PHONY: gosec
gosec: ## static analysis for security; three minutes
	@$(call each,go run $(GOSEC) -quiet -exclude=$(GOSEC_EXCLUDED) $$(go list -f '{{.Dir}}' ./...))

.PHONY: audit
audit: gosec ## gosec, and known vulnerabilities of dependencies; needs the internet
	@failed=0; \
	$(call each,go run $(GOVULNCHECK) ./...) || { failed=1; \
		echo "audit: govulncheck found something, or NOT CHECKED: the Go modules, where its database can't be reached (above)" >&2; }; \
	npm audit || { failed=1; \
		echo "audit: npm found something, or NOT CHECKED: the packages, where its registry has no advisories (above)" >&2; }; \
	exit $$failed

.PHONY: unit
unit: ## the tests of every module, with the race detector; SHORT=-short leaves out the long ones
	@cd session && go run ./sessiontest/withstores $(MAKE) --no-print-directory -C .. -j 4 unit-tests

# Modules and packages are tested side by side, because most tests wait for servers.
MODULE_TESTS := $(MODULES:%=unit-tests/%)
.PHONY: unit-tests unit-cdk $(MODULE_TESTS)
unit-tests: unit-cdk $(MODULE_TESTS)

unit-cdk:
	@go test $(SHORT) -p 2 -timeout 30m $(CDK_PACKAGES)

$(MODULE_TESTS): unit-tests/%:
	@cd $* && packages=$$(go list ./...) && echo "$$packages" | grep -vE '/stacks|/synth|/reference' | xargs -r go test $(SHORT) -race -p 2 -timeout 30m

.PHONY: test-deploy
test-deploy: setup $(EMULATOR)/installed ## deploy, switch stores, move sessions and destroy, in an emulator of AWS or at AWS_ENDPOINT_URL
	cd test/deploy && go test -count 1 -timeout 20m -v ./...

# --no-deps installs exactly the listed packages, and pip check finds missing ones.
$(EMULATOR)/installed: test/deploy/emulator/requirements.txt
	@echo "installing the emulator of AWS"
	@rm -rf $(EMULATOR) && python3 -m venv $(EMULATOR)
	@$(EMULATOR)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@$(EMULATOR)/bin/pip check --disable-pip-version-check >/dev/null
	@touch $@

.PHONY: bench
bench: ## the cost of sessions compared with other libraries, and all benchmarks; 6 minutes on an idle machine
	@mkdir -p .build
	@cd test/bench && go run . -json ../../.build/bench.json >../../.build/bench.md
	@cat .build/bench.md && echo && echo "Every turn is in .build/bench.json."
	@$(call each,go test -run '^$$' -bench . -benchtime 100x ./...)

.PHONY: bench-load
bench-load: ## the rates and latencies of lab load compared with vegeta; 15 minutes on an idle machine
	@mkdir -p .build
	@cd test/bench && go run ./load >../../.build/load.md
	@cat .build/load.md

.PHONY: bench-synth
bench-synth: setup ## the time of a synthesis compared with a stock CDK app; 3 minutes on an idle machine
	@mkdir -p .build
	@go run ./test/synth >.build/synth.md
	@cat .build/synth.md

.PHONY: observations
observations: ## test every claim on a real fleet and write docs/observations; 10 minutes
	go run ./lab run all

SOAK_TIME := 20m
SOAK_SEED := 0

.PHONY: soak
soak: ## kill servers and restart their store at random for SOAK_TIME, and look for losses and leaks; 20 minutes
	go run ./lab run soak --length $(SOAK_TIME) --seed $(SOAK_SEED) --out docs/observations

SCALE_SESSIONS := 1000000

.PHONY: scale
scale: ## fill each store with up to SCALE_SESSIONS and measure size and latency; 30 minutes
	go run ./lab run scale --sessions $(SCALE_SESSIONS) --out docs/observations

ONLY :=

.PHONY: field
field: setup ## explore the session stacks in peers and write docs/field.md; ONLY=php for some; an hour on two cores
	@go run ./test/field -only "$(ONLY)"

FUZZ_TIME := 30s

.PHONY: fuzz-targets
fuzz-targets: ## the folder and the name of every fuzz target
	@$(TREE) -name '*_test.go' -exec grep -HoE '^func Fuzz[A-Za-z0-9_]+' {} + | sed -E 's|/[^/]*:func | |' | sort

.PHONY: fuzz
fuzz: ## every fuzz target, for FUZZ_TIME each
	@targets=$$($(MAKE) -s fuzz-targets); test -n "$$targets" || { echo "make fuzz found no target" >&2; exit 1; }; \
	echo "$$targets" | while read -r folder target; do \
		(cd "$$folder" && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ_TIME) .) || exit 1; \
	done

# The module path is in go.mod files, in imports, in examples of the documentation, and in the lab, which finds its sources by it.
.PHONY: module
module: ## rename the modules of a fork: make module MODULE=github.com/you/repo
	@old=$$(go list -m) && go mod edit -module='$(MODULE)' && \
	$(TREE) \( -name '*.go' -o -name go.mod -o -name '*.md' \) -print0 | OLD="$$old" NEW='$(MODULE)' xargs -0 perl -pi -e \
		's{"\Q$$ENV{OLD}\E/}{"$$ENV{NEW}/}g; s{\bmodule \Q$$ENV{OLD}\E\b}{module $$ENV{NEW}}g; s{\Q$$ENV{OLD}\E((/\S+)? (v0\.0\.0|=>))}{$$ENV{NEW}$$1}g'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
