# make test does all of its own set-up. make help lists what else there is.

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
RUFF        := 0.15.0
GOSEC       := github.com/securego/gosec/v2/cmd/gosec@v2.22.4
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4
GO_FOLDERS  := main.go app lab stacks test
GO_MODULES  := . test/bench test/deploy test/synth/stock

# What test/setup couldn't find on the PATH it puts here.
export PATH := $(CURDIR)/.build/tools/bin:$(PATH)
# The CDK works with Node 20, and says at length that it is old.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1

.PHONY: test
test: setup lint unit ## install what is missing, then check everything

.PHONY: setup
setup: ## install what the tests need and this machine lacks
	@test/setup

.PHONY: lint
lint: .build/ruff-$(RUFF)/bin/ruff ## gofmt, vet and staticcheck for every module, ruff for what is in Python
	@unformatted=$$(gofmt -l $(GO_FOLDERS)); test -z "$$unformatted" || { echo "gofmt would change:" $$unformatted; exit 1; }
	@for module in $(GO_MODULES); do (cd $$module && go vet ./... && go run $(STATICCHECK) ./...) || exit 1; done
	@$< check --quiet --no-cache stacks test

.build/ruff-$(RUFF)/bin/ruff:
	@echo "installing ruff $(RUFF)"
	@python3 -m venv .build/ruff-$(RUFF)
	@.build/ruff-$(RUFF)/bin/pip install --quiet --disable-pip-version-check ruff==$(RUFF)

# docs/security.md says why these rules are left out; a comment #nosec says it of a single line.
.PHONY: gosec
gosec: ## static analysis for security; two minutes
	go run $(GOSEC) -quiet -exclude=G104,G301,G302,G304,G306 -exclude-dir=lab/fleet/testdata . ./app/... ./lab/... ./stacks/...

.PHONY: audit
audit: gosec ## gosec, and the known vulnerabilities of what is used; needs the internet
	@failed=0; \
	go run $(GOVULNCHECK) ./... || { failed=1; \
		echo "audit: govulncheck found something, or NOT CHECKED: the Go modules, where its database can't be reached (above)" >&2; }; \
	npm audit || { failed=1; \
		echo "audit: npm found something, or NOT CHECKED: the packages, where its registry has no advisories (above)" >&2; }; \
	exit $$failed

.PHONY: unit
unit: ## the tests, with the race detector
	go test -race -timeout 20m ./...
	cd test/bench && go test ./...

EMULATOR := .build/emulator

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
bench: ## what sessions cost a server, beside other libraries; 5 minutes at most, on a quiet machine
	@mkdir -p .build
	@cd test/bench && go run . -json ../../.build/bench.json >../../.build/bench.md
	@cat .build/bench.md && echo && echo "Every turn is in .build/bench.json."

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

.PHONY: fuzz
fuzz: ## every fuzz target, for FUZZ_TIME each
	@grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' app lab | sed 's/:func / /' | while read -r file target; do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ_TIME) "./$$(dirname "$$file")" || exit 1; \
	done

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
