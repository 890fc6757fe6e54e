# barid: how it is built, tested and installed. `make help` lists the targets.
#
# Variables: CC=gcc|clang  SAN=address,undefined|thread  BUILD=dir  PLANT=name,name (planted bugs, for tests of the tests)  V=1 (show commands)
#            FAULTS=1 (fault points: lib/base/fault.h)  NEXT=1 (programs of a version to come, for tests of upgrades: proto/README.md)
#            LAYERS="base mail ..." (part of lib/ only)  DESTDIR= PREFIX= SYSTEMD=dir of units (install)
# Each kind of build has its own directory below $(BUILD): two of them never mix.

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
VERSION := $(if $(NEXT),0.2.0,0.1.0)
PREFIX ?= /usr/local
DESTDIR ?=
SYSTEMD ?= $(PREFIX)/lib/systemd/system
SAN ?=
PLANT ?=
FAULTS ?=
LAYOUT ?=
NEXT ?=
V ?=
LAYERS ?= base mail io cluster
PROGRAMS := ingress dispatcher courier ctl
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

ifeq ($(MAKELEVEL),0)
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
endif
MAKEFLAGS += --no-print-directory --no-builtin-rules

# ---- where this kind of build goes
comma := ,
empty :=
space := $(empty) $(empty)
sanitizers := $(subst $(comma),$(space),$(SAN))
kind := $(if $(filter fuzzer%,$(sanitizers)),fuzz,$(if $(SAN),san-$(firstword $(sanitizers))))
kind += $(if $(filter fuzz,$(kind)),,$(if $(findstring clang,$(CC)),clang))
kind_given := $(kind)
kind += $(if $(FAULTS),faults) $(if $(LAYOUT),layout-$(LAYOUT)) $(if $(NEXT),next) $(if $(PLANT),plant-$(subst $(comma),+,$(PLANT)))
directory = $(BUILD)$(if $(strip $(1)),/$(subst $(space),-,$(strip $(1))))
OUT := $(call directory,$(kind))
# A variant of a build compiles only what is not the same in it: what has these words.
variant := $(if $(PLANT),PLANT_) $(if $(FAULTS),FAULTS) $(if $(LAYOUT),LAYOUT) $(if $(NEXT),NEXT BARID_VERSION)
$(if $(strip $(variant)),$(shell tests/variant '$(call directory,$(kind_given))' '$(OUT)' $(variant) >&2))

# ---- flags
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wvla -Wformat=2 -Werror
# must(!"why") turns a text into a condition on purpose. An ignored result is written (void) call(), which gcc warns about all the same;
# clang, which `make test` compiles with too, does not.
WARNINGS += $(if $(findstring clang,$(CC)),-Wno-string-conversion,-Wno-unused-result)
HARDENING := -fPIE -fstack-protector-strong -fcf-protection
OPTIMIZE := -O2
ifeq ($(SAN),)
HARDENING += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else
OPTIMIZE := -O1 -fno-omit-frame-pointer
# Sanitizers confuse gcc's flow warnings; the plain builds enforce them.
WARNINGS += -Wno-error
SANFLAGS := -fsanitize=$(SAN) $(if $(filter undefined,$(sanitizers)),-fno-sanitize-recover=undefined)
endif
upper = $(shell printf '%s' '$(1)' | tr 'a-z-' 'A-Z_')
DEFINES := -D_GNU_SOURCE -DBARID_VERSION='"$(VERSION)"' $(if $(FAULTS),-DFAULTS) $(if $(LAYOUT),-DLAYOUT=$(LAYOUT)) $(if $(NEXT),-DNEXT) $(foreach p,$(subst $(comma),$(space),$(PLANT)),-DPLANT_$(call upper,$(p)))
INCLUDES := -Ilib -I. -isystem $(OUT)
BASEFLAGS := -std=gnu11 $(OPTIMIZE) -g -pthread $(HARDENING) $(SANFLAGS) $(DEFINES)
# Our own sources: all warnings, and the calls of banned.h do not compile.
OURFLAGS = $(BASEFLAGS) $(WARNINGS) $(INCLUDES) -include lib/base/banned.h -MMD -MP
# cmocka.h needs these before it; clang-format sorts them behind.
TESTFLAGS := -Itests -Itests/unit -include setjmp.h -include stdarg.h -include stddef.h -include stdint.h
LDFLAGS_ALL := -pie -pthread $(SANFLAGS) -Wl,-z,relro,-z,now -Wl,--as-needed
PACKAGES := libuv hiredis libzmq libcares libprotobuf-c yaml-0.1 jansson libmicrohttpd libidn2 libxxhash libzstd zlib libssl libcrypto libcurl
LIBS = $(shell pkg-config --libs $(PACKAGES)) -lm

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-8s %s\n' '$(1)' '$(2)')

# ---- what there is
lib_sources := $(foreach layer,$(LAYERS),$(wildcard lib/$(layer)/*.c))
protos := $(wildcard proto/*.proto)
proto_sources := $(protos:proto/%.proto=$(OUT)/proto/%.pb-c.c)
proto_headers := $(proto_sources:.c=.h)
scripts := $(wildcard lib/cluster/lua/*.lua)
generated := $(proto_headers) $(if $(scripts),$(OUT)/lua.h)
lib_objects := $(lib_sources:%.c=$(OUT)/%.o) $(proto_sources:.c=.o) $(if $(scripts),$(OUT)/lua.o)
library := $(OUT)/libbarid.a

built_programs := $(foreach p,$(PROGRAMS),$(if $(wildcard $(p)/main.c),$(p)))
bin_name = $(OUT)/bin/$(if $(filter ctl,$(1)),baridctl,barid-$(1))
binaries := $(foreach p,$(built_programs),$(call bin_name,$(p)))
program_sources := $(foreach p,$(PROGRAMS),$(wildcard $(p)/*.c))
archives := $(foreach p,$(PROGRAMS),$(if $(filter-out $(p)/main.c,$(wildcard $(p)/*.c)),$(OUT)/$(p).a))

unit_sources := $(sort $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c))
unit_helpers := $(filter-out $(unit_sources),$(wildcard tests/unit/*/*.c tests/unit/*/*/*.c))
units := $(unit_sources:%.c=$(OUT)/%)
fuzz_sources := $(wildcard tests/fuzz/fuzz_*.c)
fuzz_helpers := $(filter-out $(fuzz_sources),$(wildcard tests/fuzz/*.c))
fuzzers := $(fuzz_sources:tests/fuzz/%.c=$(OUT)/fuzz/%)

build_stamp := $(BUILD)/.packages-build
test_stamp := $(BUILD)/.packages-test
bench_stamp := $(BUILD)/.packages-bench

# ---- the targets people use
.PHONY: all help run test check unit units chaos storm failover reshard bench bulk model fuzz fuzzers install clean format docs compile-all install-packages
all: $(binaries) $(library)

help:
	@echo 'make            the programs, in $(OUT)/bin'
	@echo 'make run        a cluster on this machine, with a demo; Ctrl-C ends it (WORKERS=n)'
	@echo 'make test       everything; the last line is "N passed, N failed"'
	@echo 'make check      format, rules and unit tests, under a minute'
	@echo 'make unit       unit tests only (UNIT=word: those whose path has the word)'
	@echo 'make bench      figures, and build/bench.json'
	@echo 'make scale      what a message costs each part as the cluster grows, and what replicas cost; build/scale.json'
	@echo 'make backlog    JOBS=n of a dead domain (1000000) beside live ones: figures, and build/backlog.json'
	@echo 'make bulk       orders to JOBS=n (1000000): how long Redis is away from others, dry runs, undo; build/bulk.json'
	@echo 'make storm      any octets at every socket for MINUTES=n (10), SEED=s, with sanitizers'
	@echo 'make chaos      everything hurt under load for MINUTES=n (2), RATE=n messages a second (60), SEED=s; build/chaos.json'
	@echo 'make failover   the primary of Redis lost KILLS=n times (20) under load, with Sentinels and in a Cluster'
	@echo 'make reshard    slots of a Redis Cluster moved under load for MINUTES=n (5)'
	@echo 'make model      the models of the protocol at larger sizes: an hour'
	@echo 'make fuzz       fuzzers, SECONDS_EACH=n each (60); FUZZ=word: only those whose name has the word'
	@echo 'make install    DESTDIR= PREFIX=/usr/local'
	@echo 'make deb        a Debian package of what is built, in $(OUT)'
	@echo 'make format     clang-format over our sources'
	@echo 'make docs       reference pages printed from the tables into docs/'
	@echo 'make clean      removes $(BUILD)'
	@echo 'Variables: CC=gcc|clang SAN=address,undefined|thread BUILD=dir PLANT=name FAULTS=1 V=1'

run: all
	$(Q)BARID_BUILD=$(abspath $(OUT)) deploy/run-local

test: $(build_stamp) $(test_stamp)
	$(Q)tests/run test --build $(BUILD) --san '$(or $(SAN),address,undefined)'

check: $(build_stamp) $(test_stamp)
	$(Q)tests/run check --build $(BUILD) --out $(OUT) --cc $(CC) --san '$(SAN)'

units: $(units)

unit: $(foreach u,$(units),$(if $(UNIT),$(if $(findstring $(UNIT),$(u)),$(u)),$(u)))
	$(Q)tests/run unit --out $(OUT) $(if $(UNIT),--only '$(UNIT)')

ifeq ($(FAULTS),)
chaos:
	$(Q)$(MAKE) FAULTS=1 chaos
else
chaos: all $(test_stamp)
	$(Q)$(MAKE) FAULTS=1 NEXT=1 all
	$(Q)BARID_BUILD=$(abspath $(OUT)) tests/chaos/run --minutes $(or $(MINUTES),2) --rate $(or $(RATE),60) $(if $(SEED),--seed $(SEED)) \
		--next $(abspath $(BUILD)/faults-next) --json $(BUILD)/chaos.json
endif

pytest := /usr/bin/python3 -m pytest -q -s -p no:cacheprovider
failover: all $(test_stamp)
	$(Q)BARID_BUILD=$(abspath $(OUT)) KILLS=$(or $(KILLS),20) $(pytest) -k in_any_way $(wildcard tests/cluster/test_failover_*.py)

reshard: all $(test_stamp)
	$(Q)BARID_BUILD=$(abspath $(OUT)) MINUTES=$(or $(MINUTES),5) $(pytest) -k lose_nothing tests/cluster/test_slots_move_under_load.py

ifeq ($(SAN),)
storm:
	$(Q)$(MAKE) SAN=address,undefined storm
else
storm: all $(test_stamp)
	$(Q)BARID_BUILD=$(abspath $(OUT)) tests/storm/run --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))
endif

model: $(test_stamp)
	$(Q)MODEL_LARGE=1 $(pytest) tests/model/test_model.py

bench: all $(bench_stamp)
	$(Q)BARID_BUILD=$(abspath $(OUT)) tests/bench/run

fuzz: $(build_stamp) $(test_stamp)
	$(Q)$(MAKE) CC=clang SAN=fuzzer-no-link,address,undefined BUILD=$(BUILD) fuzzers
	$(Q)tests/run fuzz --build $(BUILD) --seconds $(or $(SECONDS_EACH),60) $(if $(FUZZ),--only '$(FUZZ)')

fuzzers: $(fuzzers)

scale: all $(bench_stamp)
	$(Q)BARID_BUILD=$(abspath $(OUT)) tests/bench/scale

backlog: all $(bench_stamp)
	$(Q)BARID_BUILD=$(abspath $(OUT)) tests/bench/backlog --jobs $(or $(JOBS),1000000)

bulk: all $(bench_stamp)
	$(Q)BARID_BUILD=$(abspath $(OUT)) tests/bench/bulk --jobs $(or $(JOBS),1000000)

# Everything that can be compiled, for the other compiler.
compile-all: all units

units_of_systemd := $(wildcard deploy/systemd/*.service)
install: all
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/barid' '$(DESTDIR)$(PREFIX)/share/doc/barid' \
		'$(DESTDIR)$(PREFIX)/share/man/man1' '$(DESTDIR)$(PREFIX)/share/bash-completion/completions' \
		'$(DESTDIR)$(PREFIX)/share/zsh/site-functions' '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'
	install -m 755 $(binaries) '$(DESTDIR)$(PREFIX)/bin'
	$(OUT)/bin/baridctl help --man >'$(DESTDIR)$(PREFIX)/share/man/man1/baridctl.1'
	$(OUT)/bin/baridctl completion bash >'$(DESTDIR)$(PREFIX)/share/bash-completion/completions/baridctl'
	$(OUT)/bin/baridctl completion zsh >'$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_baridctl'
	$(OUT)/bin/baridctl completion fish >'$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/baridctl.fish'
	$(if $(wildcard deploy/barid.yaml),install -m 644 deploy/barid.yaml '$(DESTDIR)$(PREFIX)/share/barid')
	$(if $(wildcard deploy/redis.conf),install -m 644 deploy/redis.conf '$(DESTDIR)$(PREFIX)/share/barid')
	$(if $(wildcard README.md docs/*.md),install -m 644 $(wildcard README.md docs/*.md) '$(DESTDIR)$(PREFIX)/share/doc/barid')
	$(if $(units_of_systemd),install -d '$(DESTDIR)$(SYSTEMD)' '$(DESTDIR)$(PREFIX)/lib/sysusers.d')
	$(foreach u,$(units_of_systemd),sed 's#/usr/bin/barid-#$(PREFIX)/bin/barid-#' $(u) >'$(DESTDIR)$(SYSTEMD)/$(notdir $(u))' &&) :
	$(if $(units_of_systemd),install -m 644 deploy/systemd/barid.sysusers '$(DESTDIR)$(PREFIX)/lib/sysusers.d/barid.conf')

# A Debian package of what is built: $(OUT)/barid_VERSION_ARCHITECTURE.deb. It needs no root.
deb: all
	$(Q)deploy/debian/build '$(abspath $(OUT))' '$(VERSION)'

our_c := lib proto ingress dispatcher courier ctl tests
format: $(test_stamp)
	$(Q)find $(wildcard $(our_c)) -name '*.[ch]' -print0 | xargs -0 clang-format -i

docs: all
	$(Q)$(OUT)/bin/baridctl config docs >docs/configuration.md
	$(Q)$(OUT)/bin/baridctl config default >deploy/barid.yaml
	$(Q)$(OUT)/bin/baridctl help --markdown >docs/baridctl.md
	$(Q)$(OUT)/bin/baridctl help --man >docs/baridctl.1
	$(Q)$(OUT)/bin/baridctl bounces >docs/bounces.md
	$(Q)$(OUT)/bin/baridctl metrics >docs/metrics.md
	$(Q)$(OUT)/bin/baridctl metrics --alerts >deploy/prometheus/alerts.yml
	$(Q)$(OUT)/bin/baridctl metrics --dashboard >deploy/grafana/barid.json
	$(Q)tests/check/behaviours >docs/behaviours.md

clean:
	rm -rf '$(BUILD)'

# ---- packages: looked for once per build directory
install-packages: $(build_stamp)
$(BUILD)/.packages-%: deploy/install-packages
	@mkdir -p $(@D)
	$(Q)deploy/install-packages $*
	@touch $@
$(test_stamp) $(bench_stamp): | $(build_stamp)

# ---- generated sources
$(OUT)/proto/%.pb-c.c $(OUT)/proto/%.pb-c.h: proto/%.proto | $(build_stamp)
	$(call say,PROTO,$<)
	@mkdir -p $(OUT)/proto
	$(Q)protoc-c --proto_path=proto --c_out=$(OUT)/proto $<

$(OUT)/lua.c $(OUT)/lua.h &: lib/cluster/lua/embed $(scripts) | $(build_stamp)
	$(call say,LUA,$(OUT)/lua.c)
	@mkdir -p $(OUT)
	$(Q)NEXT=$(NEXT) lib/cluster/lua/embed $(OUT)/lua.c $(OUT)/lua.h $(scripts)

# ---- objects and what is made of them
$(OUT)/proto/%.o: $(OUT)/proto/%.c $(proto_headers)
	$(call say,CC,$@)
	$(Q)$(CC) $(BASEFLAGS) -w -I$(OUT)/proto -c -o $@ $<

$(OUT)/lua.o: $(OUT)/lua.c $(OUT)/lua.h | $(build_stamp)
	$(call say,CC,$@)
	$(Q)$(CC) $(BASEFLAGS) -I$(OUT) -c -o $@ $<

$(OUT)/%.o: %.c Makefile | $(build_stamp) $(generated)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OURFLAGS) $(if $(filter tests/%,$<),$(TESTFLAGS)) -c -o $@ $<

# The status page is taken into its object as it is.
$(OUT)/dispatcher/web_page.o: dispatcher/status_page.html

define archive
$(call say,AR,$@)
@mkdir -p $(@D)
$(Q)rm -f $@.$$$$ && ar rcs $@.$$$$ $(filter %.o,$^) && mv $@.$$$$ $@
endef
$(library): $(lib_objects)
	$(archive)

define program_rules
$(OUT)/$(1).a: $(patsubst %.c,$(OUT)/%.o,$(filter-out $(1)/main.c,$(wildcard $(1)/*.c)))
	$$(archive)
$(call bin_name,$(1)): $(OUT)/$(1)/main.o $(filter $(OUT)/$(1).a,$(archives)) $(library)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $$(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# A unit test is linked with the helpers of its folder, with the objects of the program its folder is named after, and with the library.
word_at = $(word $(1),$(subst /,$(space),$(2)))
define unit_rules
$(OUT)/$(1:.c=): $(OUT)/$(1:.c=.o) $(patsubst %.c,$(OUT)/%.o,$(filter $(dir $(1))%,$(unit_helpers))) \
		$(filter $(OUT)/$(call word_at,3,$(1)).a,$(archives)) $(library) | $(test_stamp)
	$$(call say,LINK,$$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ -lcmocka $$(LIBS)
endef
$(foreach t,$(unit_sources),$(eval $(call unit_rules,$(t))))

$(OUT)/fuzz/%: $(OUT)/tests/fuzz/%.o $(fuzz_helpers:%.c=$(OUT)/%.o) $(archives) $(library)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(subst fuzzer-no-link,fuzzer,$(LDFLAGS_ALL)) -o $@ $^ $(LIBS)

# A fuzzer with a bug: PLANTED=changed copy of a source, in front of the archives that hold the right one (tests/fuzz/plants.py).
.PHONY: planted
planted: $(fuzz_helpers:%.c=$(OUT)/%.o) $(OUT)/tests/fuzz/$(FUZZER).o $(archives) $(library)
	$(Q)$(CC) $(OURFLAGS) -c -o $(PLANTED:.c=.o) $(PLANTED)
	$(Q)$(CC) $(subst fuzzer-no-link,fuzzer,$(LDFLAGS_ALL)) -o $(PLANTED:.c=) $(PLANTED:.c=.o) $^ $(LIBS)

# The same of a unit test: UNIT=tests/unit/dispatcher/test_limit_walk (tests/protocol/test_limit_walk_can_fail.py).
.PHONY: planted-unit
planted-unit: $(OUT)/$(UNIT).o $(patsubst %.c,$(OUT)/%.o,$(filter $(dir $(UNIT))%,$(unit_helpers))) $(archives) $(library)
	$(Q)$(CC) $(OURFLAGS) -c -o $(PLANTED:.c=.o) $(PLANTED)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $(PLANTED:.c=) $(PLANTED:.c=.o) $^ -lcmocka $(LIBS)

# The same of a program: PROGRAM=dispatcher (tests/storm).
.PHONY: planted-program
planted-program: $(OUT)/$(PROGRAM)/main.o $(OUT)/$(PROGRAM).a $(library)
	$(Q)$(CC) $(OURFLAGS) -c -o $(PLANTED:.c=.o) $(PLANTED)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $(PLANTED:.c=) $(PLANTED:.c=.o) $^ $(LIBS)

objects := $(lib_objects) $(program_sources:%.c=$(OUT)/%.o) $(unit_sources:%.c=$(OUT)/%.o) $(unit_helpers:%.c=$(OUT)/%.o) \
	$(fuzz_sources:%.c=$(OUT)/%.o) $(fuzz_helpers:%.c=$(OUT)/%.o)
$(filter $(OUT)/tests/%,$(objects)): | $(test_stamp)
-include $(wildcard $(objects:.o=.d))
