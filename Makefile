# make demo and make test do all their set-up themselves, on a Debian with Go.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
BINDIR   = $(DESTDIR)$(PREFIX)/bin
SBINDIR  = $(DESTDIR)$(PREFIX)/sbin
LIBDIR   = $(DESTDIR)$(PREFIX)/lib

.PHONY: all build test demo bench docs lint install uninstall clean exim-versions mysql-versions

all: build

build:
	$(GO) build -o bin/exipol ./cmd/exipol
	$(GO) build -o bin/exipold ./cmd/exipold

# The goldens come first, so that the last lines are go test's own.
test: lint
	scripts/setup test >&2
	scripts/goldens
	$(GO) test -race -timeout 30m ./...

lint:
	@unformatted=$$(gofmt -l cmd generator helper internal policies templates 2>/dev/null); \
	if [ -n "$$unformatted" ]; then echo "gofmt these files:"; echo "$$unformatted"; exit 1; fi >&2
	$(GO) vet ./... >&2
	$(GO) tool -modfile=tools.mod staticcheck ./... >&2

demo:
	scripts/setup demo >&2
	$(GO) run ./internal/demo

bench:
	scripts/setup bench >&2
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./internal/bench

# The tests that need an Exim, on the Exim of other Debian releases. As root.
exim-versions:
	scripts/exim-versions

# The tests that need a database server, on other MariaDBs and on MySQL. As root.
mysql-versions:
	scripts/mysql-versions

# The pages that come from tables in the code, by the tests that compare them.
docs:
	UPDATE=1 $(GO) test ./generator/language ./generator/diag

# systemd looks below /usr/local/lib as well as below /usr/lib. The group of Exim in
# these files is Debian's.
install: build
	install -d $(BINDIR) $(SBINDIR) $(LIBDIR)/systemd/system $(LIBDIR)/sysusers.d $(LIBDIR)/tmpfiles.d
	install -m 0755 bin/exipol $(BINDIR)/exipol
	install -m 0755 bin/exipold $(SBINDIR)/exipold
	bin/exipol man $(DESTDIR)$(PREFIX)/share/man/man1
	bin/exipold man $(DESTDIR)$(PREFIX)/share/man/man8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	bin/exipol completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/exipol
	bin/exipold completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/exipold
	install -m 0644 templates/systemd/exipold.socket $(LIBDIR)/systemd/system/exipold.socket
	sed 's,/usr/sbin/exipold,$(PREFIX)/sbin/exipold,' templates/systemd/exipold.service >$(LIBDIR)/systemd/system/exipold.service
	sed 's,/usr/sbin/exipold,$(PREFIX)/sbin/exipold,' templates/systemd/exipold-desk.service >$(LIBDIR)/systemd/system/exipold-desk.service
	chmod 0644 $(LIBDIR)/systemd/system/exipold.service $(LIBDIR)/systemd/system/exipold-desk.service
	install -m 0644 templates/systemd/exipold.sysusers $(LIBDIR)/sysusers.d/exipold.conf
	install -m 0644 templates/systemd/exipold.tmpfiles $(LIBDIR)/tmpfiles.d/exipold.conf

uninstall:
	rm -f $(BINDIR)/exipol $(SBINDIR)/exipold
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/exipol.1 $(DESTDIR)$(PREFIX)/share/man/man1/exipol-*.1
	rm -f $(DESTDIR)$(PREFIX)/share/man/man8/exipold.8 $(DESTDIR)$(PREFIX)/share/man/man8/exipold-*.8
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/exipol $(DESTDIR)$(PREFIX)/share/bash-completion/completions/exipold
	rm -f $(LIBDIR)/systemd/system/exipold.socket $(LIBDIR)/systemd/system/exipold.service $(LIBDIR)/systemd/system/exipold-desk.service
	rm -f $(LIBDIR)/sysusers.d/exipold.conf $(LIBDIR)/tmpfiles.d/exipold.conf

clean:
	rm -rf bin
