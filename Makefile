# make test is what a change needs; make check is everything. Both install what they need. make help lists the rest.

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
RUFF        := 0.15.0
GOSEC       := github.com/securego/gosec/v2/cmd/gosec@v2.22.4
EMULATOR    := .build/emulator
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4

# Every Go module of the repository. test/make_test.go checks that each target below covers them all.
TREE    := find . \( -name node_modules -o -name '.?*' \) -prune -o
MODULES := $(sort $(patsubst %/go.mod,%,$(shell $(TREE) -name go.mod -print)))
# $(call each,COMMAND) runs a command in every module, and ends at the first that fails.
each = (for module in $(MODULES); do (cd $$module && $(1)) || exit 1; done)
# The packages whose tests only call the CDK, which works in a Node process: the race detector would find nothing.
CDK_PACKAGES := ./stacks/... ./test/synth/...

# What test/setup couldn't find on the PATH it puts here.
export PATH := $(CURDIR)/.build/tools/bin:$(PATH)
# The CDK works with Node 20, and says at length that it is old.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1

.PHONY: test
test: setup lint ## install what is missing, then check what a change needs; 8 minutes on two cores
	@$(MAKE) --no-print-directory unit SHORT=-short

.PHONY: check
check: setup lint $(EMULATOR)/installed ## everything: all tests, a deployment in an emulator of AWS, gosec, fuzzing; 25 minutes
	@$(MAKE) --no-print-directory unit gosec fuzz

.PHONY: setup
setup: ## install what the tests need and this machine lacks
	@test/setup

.PHONY: lint
lint: .build/ruff-$(RUFF)/bin/ruff ## gofmt, vet and staticcheck for every module, ruff for what is in Python
	@unformatted=$$(gofmt -l $$($(TREE) -name '*.go' -print)); test -z "$$unformatted" || { echo "gofmt would change:" $$unformatted; exit 1; }
	@$(call each,go vet ./... && go run $(STATICCHECK) ./...)
	@$< check --quiet --no-cache stacks test

.build/ruff-$(RUFF)/bin/ruff:
	@echo "installing ruff $(RUFF)"
	@python3 -m venv .build/ruff-$(RUFF)
	@.build/ruff-$(RUFF)/bin/pip install --quiet --disable-pip-version-check ruff==$(RUFF)

# docs/security.md says why these rules are left out; a comment #nosec says it of a single line.
GOSEC_EXCLUDED := G104,G301,G302,G304,G306

.PHONY: gosec
gosec: ## static analysis for security; three minutes
	@$(call each,go run $(GOSEC) -quiet -exclude=$(GOSEC_EXCLUDED) -exclude-dir=testdata ./...)

.PHONY: audit
audit: gosec ## gosec, and the known vulnerabilities of what is used; needs the internet
	@failed=0; \
	$(call each,go run $(GOVULNCHECK) ./...) || { failed=1; \
		echo "audit: govulncheck found something, or NOT CHECKED: the Go modules, where its database can't be reached (above)" >&2; }; \
	npm audit || { failed=1; \
		echo "audit: npm found something, or NOT CHECKED: the packages, where its registry has no advisories (above)" >&2; }; \
	exit $$failed

.PHONY: unit
unit: ## the tests of every module, with the race detector; SHORT=-short leaves out the long ones
	@cd session && go run ./sessiontest/withstores $(MAKE) --no-print-directory -C .. -j 2 unit-cdk unit-tests

.PHONY: unit-cdk
unit-cdk:
	@go test $(SHORT) -timeout 20m $(CDK_PACKAGES)

# Most tests wait for servers, so more packages run side by side than there are processors.
.PHONY: unit-tests
unit-tests:
	@$(call each,go test $(SHORT) -race -p 4 -timeout 30m $$(go list ./... | grep -vE '/stacks|/synth'))

.PHONY: test-deploy
test-deploy: setup $(EMULATOR)/installed ## deploy, switch stores and destroy, in an emulator of AWS or at AWS_ENDPOINT_URL
	cd test/deploy && go test -count 1 -timeout 20m -v ./...

# Exactly what is listed: --no-deps installs nothing else, and the check finds what the list lacks.
$(EMULATOR)/installed: test/deploy/emulator/requirements.txt
	@echo "installing the emulator of AWS"
	@rm -rf $(EMULATOR) && python3 -m venv $(EMULATOR)
	@$(EMULATOR)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@$(EMULATOR)/bin/pip check --disable-pip-version-check >/dev/null
	@touch $@

.PHONY: bench
bench: ## what sessions cost a server, beside other libraries, and every benchmark; 6 minutes of a quiet machine
	@mkdir -p .build
	@cd test/bench && go run . -json ../../.build/bench.json >../../.build/bench.md
	@cat .build/bench.md && echo && echo "Every turn is in .build/bench.json."
	@$(call each,go test -run '^$$' -bench . -benchtime 100x ./...)

.PHONY: bench-load
bench-load: ## what lab load sends, and what it says of latency, beside vegeta; 15 minutes of a quiet machine
	@mkdir -p .build
	@cd test/bench && go run ./load >../../.build/load.md
	@cat .build/load.md

.PHONY: bench-synth
bench-synth: setup ## how long a synthesis takes beside that of a stock CDK app; 3 minutes of a quiet machine
	@mkdir -p .build
	@go run ./test/synth >.build/synth.md
	@cat .build/synth.md

.PHONY: observations
observations: ## test every claim on a real fleet and write docs/observations; 10 minutes
	go run ./lab run all
	go generate ./test/matrix

SOAK_TIME := 20m
SOAK_SEED := 0

.PHONY: soak
soak: ## kill servers and restart their store at random for SOAK_TIME, and look for losses and leaks; 20 minutes
	go run ./lab run soak --length $(SOAK_TIME) --seed $(SOAK_SEED) --out docs/observations

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

# The path of the modules is in their go.mod files, in imports, in the pages' examples, and where the lab looks for its sources.
.PHONY: module
module: ## rename the modules of a fork: make module MODULE=github.com/you/repo
	@old=$$(go list -m) && go mod edit -module='$(MODULE)' && \
	$(TREE) \( -name '*.go' -o -name go.mod -o -name '*.md' \) -print0 | OLD="$$old" NEW='$(MODULE)' xargs -0 perl -pi -e \
		's{"\Q$$ENV{OLD}\E/}{"$$ENV{NEW}/}g; s{\bmodule \Q$$ENV{OLD}\E\b}{module $$ENV{NEW}}g; s{\Q$$ENV{OLD}\E((/\S+)? (v0\.0\.0|=>))}{$$ENV{NEW}$$1}g'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
