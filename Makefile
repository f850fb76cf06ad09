# Gantry. `make help` lists the targets. Everything built goes into build/.
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

MODE    ?= release
B       ?= build/$(MODE)
PREFIX  ?= /usr/local
DESTDIR ?=
WERROR  ?= -Werror
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(MODE)),clang,gcc)
endif
ifeq ($(filter $(MODE),release asan tsan fault fuzz),)
$(error unknown MODE=$(MODE): release, asan, tsan, fault or fuzz)
endif

# A directory with a main.c is a program. Adding a worker = mkdir and one word here.
WORKERS  := ingest search audit executor connector
DIRS     := gateway:gantry-gateway $(foreach w,$(WORKERS),workers/$w:gantry-$w) cli:gantry \
            deploy/stack:gantry-supervisor
HAVE     := $(foreach d,$(DIRS),$(if $(wildcard $(firstword $(subst :, ,$d))/main.c),$d))
PROGRAMS := $(foreach d,$(HAVE),$(lastword $(subst :, ,$d)))

# Libraries, from pkg-config; the packages that hold them are named in deploy/dependencies.
LIBRARIES := libnats libpq hiredis libsodium libargon2 libcjson libcurl libseccomp \
             libbsd libcrypto libutf8proc $(shell pkg-config --exists hiredis_ssl 2>/dev/null && echo hiredis_ssl libssl)
LIB_CFLAGS := $(patsubst -I%,-isystem%,$(filter-out -I/usr/include/%-linux-gnu,$(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)))
LIB_LIBS   := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null && echo -lstemmer) # libstemmer has no .pc file

STD   := -std=gnu2x -D_GNU_SOURCE -Icommon -I$(B)/gen $(if $(filter hiredis_ssl,$(LIBRARIES)),-DHAVE_HIREDIS_SSL)
WARN  := -Wall -Wextra -Wpedantic $(WERROR) -Wformat=2 -Wshadow -Wconversion -Wsign-conversion \
         -Wcast-qual -Wcast-align -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
         -Wmissing-prototypes -Wmissing-declarations -Wold-style-definition -Wredundant-decls \
         -Wundef -Wvla -Wswitch-enum -Wimplicit-fallthrough -Wdouble-promotion -Wfloat-equal \
         -Wunused-macros -Wdate-time -Wno-overlength-strings
HARD  := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
         -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing -fno-common \
         -fvisibility=hidden -fPIE
ifeq ($(shell uname -m),aarch64)
HARD  := $(HARD:-fcf-protection=full=-mbranch-protection=standard)
endif
LINK  := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
RELEASE := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
SANE    := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
TEST  := -I. -Itests/unit -Igateway -Iworkers/executor -Iworkers/search -Iworkers/connector -Wno-unused-parameter -Wno-sign-conversion -Wno-missing-prototypes \
         -Wno-missing-declarations -Wno-cast-qual

ifeq ($(findstring clang,$(CC)),)
WARN  += -Wformat-signedness -Warith-conversion -Walloca -Wduplicated-cond -Wduplicated-branches \
         -Wlogical-op -Wtrampolines -Wjump-misses-init
RELEASE += -Wnull-dereference -Wstack-usage=16384 -ftrivial-auto-var-init=zero \
           -fzero-call-used-regs=used-gpr
SANE  += -Wno-maybe-uninitialized -Wno-format-truncation # false alarms under sanitizers
TEST  += -Wno-stack-usage -Wno-null-dereference
endif
FLAGS_release := $(RELEASE)
FLAGS_fault   := $(RELEASE) -DGANTRY_FAULT=1
FLAGS_asan    := $(SANE) -fsanitize=address,undefined
FLAGS_tsan    := $(SANE) -fsanitize=thread
FLAGS_fuzz    := $(SANE) -fsanitize=fuzzer-no-link,address,undefined
ALL_CFLAGS    := $(STD) $(WARN) $(HARD) $(FLAGS_$(MODE)) $(LIB_CFLAGS) $(CFLAGS)
ALL_LDFLAGS   := $(LINK) $(filter -fsanitize=%,$(FLAGS_$(MODE))) $(LDFLAGS)

COMMON_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard common/*.c common/*/*.c))
MODULE_SRC := $(filter-out %/main.c,$(foreach d,$(DIRS),$(foreach s,* */*,$(wildcard $(firstword $(subst :, ,$d))/$s.c))))
MODULE_OBJ := $(MODULE_SRC:%.c=$(B)/%.o)
TESTS      := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZERS    := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS    := $(FUZZERS:fuzz_%=$(B)/tests/replay_%)
BENCHES    := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*.c))
GEN        := $(patsubst sql/statements/%.sql,$(B)/gen/sql_%.h,$(wildcard sql/statements/*.sql)) \
              $(patsubst %,$(B)/gen/embed_%.h,sql nats schemas openapi policy) $(B)/gen/scripts.h $(B)/gen/console_files.h

.PHONY: all help up down status logs test test-bare tests check-unit check-replay lint tidy asan tsan fuzz bench quality soak \
        images install docs clean missing generated print-flags FORCE

all: $(PROGRAMS:%=$(B)/%) $(if $(filter build/release,$(B)),$(PROGRAMS:%=build/%)) ## build the programs (MODE=release)

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

# --- objects, libraries, programs -------------------------------------------------------------
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' > $@

# A program with folders names them in its includes: "http/http.h" within gateway/.
OWN_INCLUDE = $(foreach d,gateway workers/executor workers/search workers/connector,$(if $(filter $d/%,$<),-I$d))
$(B)/%.o: %.c $(B)/flags | $(GEN) $(if $(LIB_LIBS),,missing)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(ALL_CFLAGS) $(if $(filter tests/%,$<),$(TEST)) $(OWN_INCLUDE) -MMD -MP -c -o $@ $<

$(B)/common/embed/embed_static.o: common/embed/gantry-static-en-256.gsm

missing:
	@command -v pkg-config >/dev/null || echo "missing: pkg-config"
	@for l in $(LIBRARIES); do pkg-config --exists $$l 2>/dev/null || echo "missing library: $$l"; done
	@echo '#include <libstemmer.h>' | $(CC) -E - >/dev/null 2>&1 || echo "missing library: libstemmer"
	@echo "Debian packages: $$(deploy/dependencies --list build)   (deploy/dependencies installs them)"; exit 1

generated: $(GEN)
print-flags:
	@echo '$(STD) $(LIB_CFLAGS)'

define archive
	@rm -f $@ && mkdir -p $(@D) && ar qcsT $@ $^
endef
$(B)/libcommon.a: $(COMMON_OBJ)
	$(archive)
$(B)/libmodules.a: $(MODULE_OBJ)
	$(archive)

define program # $1 directory, $2 name
$(B)/$2: $$(filter $(B)/$1/%,$$(MODULE_OBJ)) $(B)/$1/main.o $(B)/libcommon.a
	@echo "  LINK    $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIB_LIBS) -lm
endef
$(foreach d,$(HAVE),$(eval $(call program,$(firstword $(subst :, ,$d)),$(lastword $(subst :, ,$d)))))

$(PROGRAMS:%=build/%): build/%: build/release/%
	@ln -sfn release/$* $@

# --- generated headers: SQL statements as C tables (sql_PROGRAM.h); files as text (embed_X.h); Lua (scripts.h) --
$(B)/gen/sql_%.h: sql/statements/%.sql sql/statements.awk
	@mkdir -p $(@D)
	@awk -v program=$* -f sql/statements.awk $< > $@

EMBED_sql     := $(wildcard sql/migrations/*.sql sql/*.sql)
EMBED_nats    := $(wildcard nats/streams/*.json nats/consumers/*.json)
EMBED_schemas := $(wildcard common/validate/schemas/*.json)
EMBED_openapi := $(wildcard gateway/requests/openapi/*.json)
EMBED_policy  := common/policy/default.json
# A file that is gone makes nothing newer: the list of files does.
$(B)/gen/embed_%.list: FORCE
	@mkdir -p $(@D)
	@echo '$(EMBED_$*)' | cmp -s - $@ || echo '$(EMBED_$*)' > $@
define embedded # $1 name
$(B)/gen/embed_$1.h: $(B)/gen/embed_$1.list $(EMBED_$1) deploy/embed.awk
	@awk -v name=$1 -f deploy/embed.awk $(EMBED_$1) /dev/null > $$@
endef
$(foreach n,sql nats schemas openapi policy,$(eval $(call embedded,$n)))

$(B)/gen/scripts.h: common/protocol/lua/scripts.awk $(wildcard common/protocol/lua/*.lua) $(wildcard gateway/lua/*.lua) $(wildcard common/protocol/lua/lib/*.lua)
	@mkdir -p $(@D)
	@awk -f $(filter-out common/protocol/lua/lib/%,$^) > $@

# The console's pages, packed; preact.js among them is made of a Debian package.
$(B)/gen/console_files.h: gateway/console/pack gateway/console/NOTICE $(wildcard gateway/console/pages/*)
	@mkdir -p $(@D)
	@gateway/console/pack $(B)/gen/console.bin $@ $(filter gateway/console/pages/%,$^)

# --- tests ------------------------------------------------------------------------------------
$(B)/tests/test_%: $(B)/tests/unit/test_%.o $(B)/libmodules.a $(B)/libcommon.a
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS) -lcmocka -lm
$(B)/tests/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(B)/libmodules.a $(B)/libcommon.a
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS) -lm
$(B)/bench/%: $(B)/tests/bench/%.o $(B)/libmodules.a $(B)/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS) -lm
$(B)/quality/%: $(B)/tests/quality/%.o $(B)/libmodules.a $(B)/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS) -lm
# The floor of the gateway's bench is a library that nothing else uses.
$(B)/bench/http_hello: LIB_LIBS += -lmicrohttpd
$(B)/integration/%: $(B)/tests/integration/%.o $(B)/libmodules.a $(B)/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS) -lcmocka -lm
$(B)/test-workers/%: $(B)/tests/workers/%/main.o $(B)/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS) -lm
$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libmodules.a $(B)/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIB_LIBS) -lm
.SECONDARY:

test: ## install what is missing, build, run every test
	@tests/run

test-bare: ## clone, make up and the curl lines in bare Debian 12 and 13 roots (needs root)
	@tests/bare/run
tests: $(TESTS) $(REPLAYS) ## build what check-unit and check-replay run
check-unit: $(TESTS) ## run the unit tests of this MODE
	@tests/unit/run $(TESTS)
check-replay: $(REPLAYS) ## run the fuzz corpus through the fuzz targets of this MODE
	@tests/fuzz/run-replay $(REPLAYS)
lint: ## doors, banned functions, formats, secrets
	@deploy/dependencies build lint && tests/lint.sh
docs: all ## write docs/configuration.md from the programs' tables
	@deploy/document > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
tidy: ## clang-tidy over every source, one process each
	@deploy/dependencies build tidy && tests/lint.sh --tidy
asan: ## build and run the unit tests and the corpus under ASan and UBSan
	@$(MAKE) MODE=asan all check-unit check-replay
tsan: ## build and run the unit tests under TSan
	@$(MAKE) MODE=tsan all check-unit
FUZZ_SECONDS ?= 30
fuzz: ## fuzz each target for FUZZ_SECONDS=30 with libFuzzer, ASan and UBSan
	@deploy/dependencies build fuzz && $(MAKE) MODE=fuzz $(FUZZERS:%=build/fuzz/fuzz/%)
	@tests/fuzz/run $(FUZZ_SECONDS) $(FUZZERS:%=build/fuzz/fuzz/%)
bench: ## measure, against the bare parts in the same run
	@deploy/dependencies build run test bench && $(MAKE) all $(BENCHES) && tests/bench/run
soak: ## kill programs and servers at random for ROUNDS=200 under load, then count
	@deploy/dependencies build run test && $(MAKE) all && PATH="$$PWD/build/deps/bin:$$PATH" PYTHONPATH=tests /usr/bin/python3 tests/soak/soak.py
quality: $(B)/quality/bm25 ## how good search is, over the sets in QUALITY_SETS
	@tests/quality/run $<
images: ## build the container images and try them
	@deploy/dependencies build run test && tests/images/run

# --- the local stack --------------------------------------------------------------------------
up: ## start everything on this machine (STACK_DIR=var, GATEWAY_PORT=8080, INGEST=1 ...)
	@deploy/dependencies build run && $(MAKE) -s -j$$(nproc) all && deploy/stack/up
down: ## stop it; the data stays
	@deploy/stack/down
status: ## what runs, and what does not and why
	@deploy/stack/status
logs: ## the last lines of every log (FOLLOW=1 to go on; REQUEST=ID follows one request)
	@deploy/stack/logs

install: all ## copy programs, data, systemd units, manual page and completions to DESTDIR/PREFIX
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/gantry/workers/executor lib/systemd/system lib/sysusers.d)
	install -m 0755 $(PROGRAMS:%=$(B)/%) $(DESTDIR)$(PREFIX)/bin
	[ ! -d deploy/systemd ] || install -m 0644 deploy/systemd/gantry.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/gantry.conf
	for u in $(wildcard deploy/systemd/*.service deploy/systemd/*.target); do sed 's|@PREFIX@|$(PREFIX)|' $$u | install -m 0644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/$${u##*/} || exit 1; done
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man1 bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	for f in "--man man/man1/gantry.1" "--completion bash bash-completion/completions/gantry" "--completion zsh zsh/site-functions/_gantry" "--completion fish fish/vendor_completions.d/gantry.fish"; do $(B)/gantry $${f% *} | install -m 0644 /dev/stdin $(DESTDIR)$(PREFIX)/share/$${f##* } || exit 1; done
	tar -c --mode=u=rwX,go=rX sql nats workers/executor/tasks workers/connector/actions | tar -x --no-same-owner -p -C $(DESTDIR)$(PREFIX)/share/gantry

clean: ## remove what was built (not build/deps and build/bare)
	find build -mindepth 1 -maxdepth 1 ! -name deps ! -name bare -exec rm -rf {} +

-include $(shell find $(B) -name '*.d' 2>/dev/null)
