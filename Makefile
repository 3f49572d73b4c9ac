# make run    a whole mail server in ./run (RUN_DIR, SMTP_PORT change that)
# make test   every test, with the race detector, vet, gofmt and staticcheck
# make        builds the programs into bin/
# make check  the quick half of make test: formats and static checks
# make fuzz   every fuzz target for FUZZTIME (10s) each
# make bench  measures our programs beside Debian's (doc/bench.md; BENCH, BENCH_ROUNDS, BENCH_DIR, BENCH_FORMAT)
# make install    makes this host a mail host, or below DESTDIR; PREFIX, QMAILHOME (doc/install.md)
# make deb        builds bin/paperpath_VERSION_ARCH.deb, with nfpm
# make instcheck  says what differs on this host from what make install makes
# make mains  writes cmd/*/main.go from PROGRAMS

GO       ?= go
LDFLAGS  ?= -s -w
FUZZTIME ?= 10s
BENCH    ?= .
BENCH_ROUNDS ?= 3
BENCH_DIR    ?= /tmp
BENCH_FORMAT ?= table
BUILD     = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

.PHONY: all build run test check fuzz mains clean

all: build

build:
	@command -v $(GO) >/dev/null || { echo 'make: Go is needed: https://go.dev/dl or apt-get install golang'; exit 1; }
	@mkdir -p bin
	@echo 'building into bin/ (a minute or two the first time)'
	@$(BUILD) -v -o bin/ ./cmd/... ./demo
	@cd bin && for f in *-at; do ln -sf "$$f" "$${f%-at}@"; done # no Go package may have an @ in its path

run: build
	@exec bin/demo

mains:
	$(GO) run ./internal/programs/mains

check: build
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'these files want gofmt'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

test: prepare check
	PAPERPATH_BIN="$(CURDIR)/bin" $(GO) test $$(test/race) -timeout 14m ./...

.PHONY: prepare
prepare:
	@test/prepare

fuzz: build
	@test/fuzz $(FUZZTIME)

# What a program must know of where it is installed is built in.
PREFIX    ?= /usr/local
QMAILHOME ?= /var/qmail
PLACES = $(if $(filter-out /usr/local,$(PREFIX)),-X paperpath/install.Prefix=$(PREFIX)) \
         $(if $(filter-out /var/qmail,$(QMAILHOME)),-X paperpath/mta/layout.DefaultHome=$(QMAILHOME))

# Root's PATH may lack Go; what an ordinary user built is good.
.PHONY: install instcheck
install instcheck:
	@if command -v $(GO) >/dev/null || test ! -x bin/instpackage; then $(MAKE) --no-print-directory build LDFLAGS='$(strip $(LDFLAGS) $(PLACES))'; fi
	@umask 022; QMAILHOME= bin/$(subst install,instpackage,$@) $(if $(DESTDIR),-d "$$(realpath -m -- '$(DESTDIR)')")

VERSION ?= 0.0.$(shell git log -1 --format=%cd --date=format:%Y%m%d%H%M 2>/dev/null || date +%Y%m%d%H%M)
.PHONY: deb
deb:
	@install/deb/build $(VERSION)

.PHONY: bench
bench: build
	@test/bench/peers >&2
	@$(GO) run ./test/bench -bin bin -run '$(BENCH)' -rounds $(BENCH_ROUNDS) -dir $(BENCH_DIR) -format $(BENCH_FORMAT)

clean:
	rm -rf bin
