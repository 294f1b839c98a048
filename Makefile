# etcd-snapshot: builds the agent and the systemd generator, runs the tests, installs.
#   make            the two programs            make check   every test (installs what it needs)
#   make install    DESTDIR=, prefix=           make demo    real cycles against a real etcd
#   make unit M=s3  one module's unit tests     make quick   all that needs no root and no server
#   make bench      measures a cycle            make lint    manual pages, formatting, clang-tidy
#   make deb        the Debian packages         make rpm     the RPM packages
# V=1 shows the commands.

VERSION := 0.1.0

CXX ?= g++
AR ?= ar
PKG_CONFIG ?= pkg-config
INSTALL ?= install
MANDOC ?= mandoc
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy
# Debian's interpreter: the tests use its packaged modules.
PYTHON ?= /usr/bin/python3

prefix ?= /usr
sysconfdir ?= /etc
bindir ?= $(prefix)/bin
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
docdir ?= $(datadir)/doc/etcd-snapshot
completionsdir ?= $(datadir)/bash-completion/completions
# Debian 12 splits the root prefix off; /usr keeps what systemd.pc says.
rootprefix ?= $(if $(filter /usr,$(prefix)),$(shell $(PKG_CONFIG) --variable=rootprefix systemd 2>/dev/null),$(prefix))
systemd_var = $(or $(shell $(PKG_CONFIG) --define-variable=prefix=$(prefix) --define-variable=rootprefix=$(rootprefix) --define-variable=root_prefix=$(rootprefix) --variable=$(1) systemd 2>/dev/null),$(2))
systemdsystemunitdir ?= $(call systemd_var,systemdsystemunitdir,$(prefix)/lib/systemd/system)
systemdsystemgeneratordir ?= $(call systemd_var,systemdsystemgeneratordir,$(prefix)/lib/systemd/system-generators)
catalogdir ?= $(call systemd_var,catalogdir,$(prefix)/lib/systemd/catalog)
tmpfilesdir ?= $(call systemd_var,tmpfilesdir,$(prefix)/lib/tmpfiles.d)

# How many at a time for check, demo and bench, which call make again.
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
# -g1: functions and lines. With -g it takes half as long again to compile; packages are built with it
# all the same, by the distributions' flags.
OPTIMIZE ?= -O2 -g1
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor
HARDENING ?= -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fPIE \
	$(if $(filter x86_64 i%86,$(shell uname -m)),-fcf-protection)
HARDENING_LD ?= -pie -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack
# With them g++ 12 takes the value of an optional for one that may be unset.
# -g1: functions and lines, which is all that their reports print, at two thirds of the time. -O0: to
# optimize takes minutes longer than it gains when the tests run.
SANITIZE := -O0 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
	-Wno-maybe-uninitialized
ALL_CPPFLAGS = -Iagent -DETCD_SNAPSHOT_VERSION='"$(VERSION)"' -D_FILE_OFFSET_BITS=64 $(CPPFLAGS)
ALL_CXXFLAGS = -std=c++20 $(WARNINGS) -MMD -MP $(CXXFLAGS)

ifeq ($(V),1)
  Q :=
  say = @:
else
  Q := @
  say = @printf '  %-8s%s\n'
endif

# --- sources: the way of the data is the way through the folders -------------------------------
base_SRC := agent/base/stop.cc agent/base/files.cc agent/base/go_duration.cc agent/base/http.cc agent/base/http_loop.cc \
	agent/base/http_stall.cc agent/base/http_transfer.cc agent/base/http_trust.cc \
	agent/base/x509.cc agent/base/human.cc agent/base/digest.cc agent/base/rate_limit.cc \
	agent/base/json.cc agent/base/text.cc
config_SRC := agent/config/load.cc agent/config/cluster_yaml.cc agent/config/host_ini.cc \
	agent/config/ini_lines.cc agent/config/yaml_map.cc agent/config/s3_policy.cc agent/config/value.cc \
	agent/config/nearest_key.cc agent/config/network.cc agent/config/pem.cc \
	agent/config/configuration.cc agent/config/last_good.cc \
	agent/config/environment_file.cc agent/config/foreign_yaml.cc \
	agent/config/characters.cc agent/config/cluster_keys.cc agent/config/key_doubts.cc
etcd_SRC := agent/etcd/protobuf.cc agent/etcd/grpc.cc agent/etcd/refusal.cc agent/etcd/snapshot_stream.cc \
	agent/etcd/client.cc agent/etcd/server_settings.cc agent/etcd/discovery.cc \
	agent/etcd/connect.cc
archive_SRC := agent/archive/manifest.cc agent/archive/proof.cc agent/archive/writer.cc \
	agent/archive/zip_writer.cc agent/archive/zstd_writer.cc agent/archive/reader.cc \
	agent/archive/manifest_reader.cc
store_SRC := agent/store/names.cc agent/store/open_directory.cc \
	agent/store/directory.cc agent/store/partial_snapshot.cc agent/store/lock.cc \
	agent/store/pki_bundle.cc agent/store/space.cc agent/store/run_state.cc \
	agent/store/ownership.cc
s3_SRC := agent/s3/signature.cc agent/s3/address.cc agent/s3/providers.cc agent/s3/answers.cc agent/s3/xml.cc \
	agent/s3/explain.cc agent/s3/explain_network.cc agent/s3/meanings.cc agent/s3/wire_text.cc \
	agent/s3/credentials.cc agent/s3/metadata_credentials.cc agent/s3/web_identity.cc \
	agent/s3/session.cc agent/s3/client.cc agent/s3/objects.cc agent/s3/send.cc agent/s3/settle.cc \
	agent/s3/upload.cc agent/s3/stored.cc agent/s3/bucket.cc
systemd_SRC := agent/systemd/logrus.cc agent/systemd/unicode_print.cc agent/systemd/journal.cc agent/systemd/notify.cc \
	agent/systemd/unit_state.cc \
	agent/systemd/schedule.cc
run_SRC := agent/run/announcements.cc agent/run/certificates.cc agent/run/progress.cc \
	agent/run/report.cc agent/run/take_snapshot.cc
pruning_SRC := agent/pruning/history.cc agent/pruning/local_prune.cc agent/pruning/remote_prune.cc \
	agent/pruning/retention.cc
metrics_SRC := agent/metrics/metrics.cc agent/metrics/run_metrics.cc
offsite_SRC := agent/offsite/ledger.cc agent/offsite/offsite.cc agent/offsite/reconcile.cc
commands_SRC := agent/commands/check.cc agent/commands/check_bucket.cc agent/commands/check_write.cc \
	agent/commands/delete.cc agent/commands/delete_object.cc agent/commands/findings.cc \
	agent/commands/list.cc agent/commands/print_error.cc agent/commands/prune.cc \
	agent/commands/registry.cc agent/commands/remote_list.cc agent/commands/run.cc \
	agent/commands/save.cc agent/commands/table.cc \
	agent/commands/status/bucket.cc agent/commands/status/gather.cc agent/commands/status/status.cc \
	agent/commands/status/verdict.cc agent/commands/status/words.cc
cycle_SRC := agent/cycle.cc
MODULES := cycle commands offsite metrics pruning run systemd s3 store archive etcd config base

# --- unit tests: one program a module, under sanitizers ----------------------------------------
base_TEST := tests/unit/base/go_duration_test.cc tests/unit/base/files_test.cc \
	tests/unit/base/human_test.cc tests/unit/base/text_test.cc tests/unit/base/result_test.cc \
	tests/unit/base/stop_test.cc tests/unit/base/x509_test.cc \
	tests/unit/base/digest_test.cc tests/unit/base/rate_limit_test.cc tests/unit/base/http_test.cc \
	tests/unit/base/http_rate_test.cc tests/unit/base/http_trust_test.cc \
	tests/unit/base/http_bulk_test.cc tests/unit/base/http_stall_test.cc \
	tests/unit/fakes/certificates.cc
config_TEST := tests/unit/config/cluster_yaml_test.cc tests/unit/config/host_ini_test.cc \
	tests/unit/config/s3_policy_test.cc tests/unit/config/s3_flags_test.cc \
	tests/unit/config/network_test.cc tests/unit/config/load_test.cc \
	tests/unit/config/configuration_test.cc tests/unit/config/last_good_test.cc \
	tests/unit/config/environment_file_test.cc tests/unit/config/foreign_yaml_test.cc \
	tests/unit/config/characters_test.cc tests/unit/config/cluster_doubts_test.cc
etcd_TEST := tests/unit/etcd/protobuf_test.cc tests/unit/etcd/grpc_test.cc \
	tests/unit/etcd/snapshot_stream_test.cc tests/unit/etcd/stream_fuzz_test.cc \
	tests/unit/etcd/client_test.cc tests/unit/etcd/server_settings_test.cc \
	tests/unit/etcd/discovery_test.cc tests/unit/etcd/connect_test.cc \
	tests/unit/fakes/etcd.cc tests/unit/fakes/certificates.cc
archive_TEST := tests/unit/archive/proof_test.cc tests/unit/archive/manifest_test.cc \
	tests/unit/archive/zip_writer_test.cc tests/unit/archive/zstd_writer_test.cc \
	tests/unit/archive/writer_test.cc tests/unit/archive/reader_test.cc \
	tests/unit/archive/hostile_test.cc
store_TEST := tests/unit/store/names_test.cc \
	tests/unit/store/directory_test.cc tests/unit/store/partial_snapshot_test.cc \
	tests/unit/store/lock_test.cc tests/unit/store/pki_bundle_test.cc \
	tests/unit/store/space_test.cc tests/unit/store/run_state_test.cc \
	tests/unit/store/ownership_test.cc tests/tools/faults.cc
s3_TEST := tests/unit/s3/signature_test.cc tests/unit/s3/address_test.cc tests/unit/s3/providers_test.cc tests/unit/s3/answers_test.cc \
	tests/unit/s3/hostile_answers_test.cc tests/unit/s3/explain_test.cc \
	tests/unit/s3/explain_network_test.cc tests/unit/s3/wire_text_test.cc tests/unit/s3/credentials_test.cc \
	tests/unit/s3/metadata_credentials_test.cc tests/unit/s3/web_identity_test.cc tests/unit/s3/client_test.cc \
	tests/unit/s3/upload_test.cc tests/unit/s3/upload_outcome_test.cc tests/unit/s3/upload_parts_test.cc tests/unit/s3/dialects_test.cc \
	tests/unit/s3/bucket_test.cc tests/unit/s3/send_test.cc tests/unit/s3/settle_test.cc tests/unit/s3/session_test.cc \
	tests/unit/fakes/s3.cc tests/unit/fakes/s3_calls.cc tests/unit/fakes/certificates.cc
systemd_TEST := tests/unit/systemd/logrus_test.cc tests/unit/systemd/journal_test.cc \
	tests/unit/systemd/notify_test.cc tests/unit/systemd/schedule_test.cc
# What whole activations are tried on.
fakes_SRC := tests/unit/fakes/certificates.cc tests/unit/fakes/etcd.cc tests/unit/fakes/s3.cc \
	tests/unit/fakes/s3_calls.cc
run_TEST := tests/unit/run/progress_test.cc tests/unit/run/take_snapshot_test.cc
pruning_TEST := tests/unit/pruning/history_test.cc tests/unit/pruning/remote_history_test.cc \
	tests/unit/pruning/remote_prune_test.cc tests/unit/pruning/retention_test.cc \
	tests/unit/pruning/unread_test.cc tests/tools/faults.cc
metrics_TEST := tests/unit/metrics/metrics_test.cc tests/unit/metrics/run_metrics_test.cc
offsite_TEST := tests/unit/offsite/ledger_test.cc tests/unit/offsite/offsite_prune_test.cc
commands_TEST := tests/unit/commands/bucket_test.cc tests/unit/commands/check_test.cc \
	tests/unit/commands/commands_test.cc tests/unit/commands/list_test.cc \
	tests/unit/commands/registry_test.cc tests/unit/commands/table_test.cc \
	tests/unit/commands/status/bucket_test.cc \
	tests/unit/commands/status/status_test.cc tests/unit/commands/status/verdict_test.cc
cycle_TEST := tests/unit/cycle/clock_test.cc tests/unit/cycle/cycle_prune_test.cc \
	tests/unit/cycle/cycle_test.cc tests/unit/cycle/doubts_test.cc tests/unit/cycle/locks_test.cc \
	tests/unit/cycle/offsite_cycle_test.cc tests/unit/cycle/unread_test.cc \
	tests/tools/faults.cc

# Recursive: `make deps all` installs pkg-config and the libraries before it asks for them.
LIBS_generator = $(shell $(PKG_CONFIG) --libs yaml-cpp inih fmt 2>/dev/null)
LIBS = $(LIBS_generator) $(shell $(PKG_CONFIG) --libs libcurl libcrypto libssl libsystemd libisal libarchive pugixml 2>/dev/null)
LIBS_test = $(shell $(PKG_CONFIG) --libs cpputest 2>/dev/null)

.DEFAULT_GOAL := all
.PHONY: all check check-installed unit quick bench demo lint install uninstall deps clean
.DELETE_ON_ERROR:
.SECONDARY:

# The sanitizers' programs are compiled a module at a time (UNITY=1): the headers of the libraries are
# read once a module instead of once a file, a fifth of the time. `make UNITY=0` compiles them file by
# file, which is quicker after a change to one. What is installed is compiled file by file but where a
# test packs it (RELEASE_UNITY=1): both ways are tried in each `make check`.
UNITY ?= 1
RELEASE_UNITY ?= 0

# objects KIND NAME FILES: of these files in build/release or build/asan. What `make unit` is about is
# compiled file by file.
unity_release = $(RELEASE_UNITY)
unity_asan = $(if $(filter $(M) $(M)_test,$(1)),0,$(UNITY))
objects = $(if $(filter 1,$(call unity_$(1),$(2))),build/$(1)/unity/$(2).o,$(3:%.cc=build/$(1)/%.o))
# in_one_piece FILES: a source of them all. It stays as old as it is while they are the same.
define in_one_piece
$(Q)mkdir -p $(@D) && printf '#include "%s"\n' $(1) >$@.new
$(Q)if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
endef

# make-module NAME: archives of one module, plain and under sanitizers, and its test program.
define make-module
build/release/unity/$(1).cc build/asan/unity/$(1).cc: Makefile
	$$(call in_one_piece,$($(1)_SRC))
build/asan/unity/$(1)_test.cc: Makefile
	$$(call in_one_piece,tests/unit/prelude.h $($(1)_TEST))
build/release/$(1).a: $(call objects,release,$(1),$($(1)_SRC))
build/asan/$(1).a: $(call objects,asan,$(1),$($(1)_SRC))
build/asan/unit_$(1): build/asan/tests/unit/main.o $(call objects,asan,$(1)_test,$($(1)_TEST)) \
	$(patsubst %,build/asan/%.a,$(or $($(1)_TEST_LIBS),$(1) base))
	$$(say) LINK $$@
	$$(Q)$$(CXX) $$(SANITIZE) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LIBS) $$(LIBS_test)
endef
archive_TEST_LIBS := archive base
store_TEST_LIBS := store archive base
systemd_TEST_LIBS := systemd config base
s3_TEST_LIBS := s3 store archive config base
$(foreach m,run pruning metrics offsite commands cycle,$(eval $(m)_TEST_LIBS := fakes $(MODULES)))
etcd_TEST_LIBS := etcd config base
$(foreach m,$(MODULES),$(eval $(call make-module,$(m))))

build/asan/unity/fakes.cc: Makefile
	$(call in_one_piece,$(fakes_SRC))
build/asan/fakes.a: $(call objects,asan,fakes,$(fakes_SRC))

# A source that is added or dropped changes the archive, too.
%.a: Makefile
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

build/release/%.o: %.cc
	$(say) CXX $<
	$(Q)mkdir -p $(@D) && $(CXX) $(ALL_CPPFLAGS) $(OPTIMIZE) $(HARDENING) $(ALL_CXXFLAGS) -c -o $@ $<

# Without the warnings that only one file of several can earn; and in sections, so that a program needs
# no library for what it does not call.
IN_ONE_PIECE := -I. -Wno-shadow -Wno-subobject-linkage -ffunction-sections -fdata-sections
build/release/unity/%.o: build/release/unity/%.cc
	$(say) CXX $<
	$(Q)$(CXX) $(ALL_CPPFLAGS) $(OPTIMIZE) $(HARDENING) $(ALL_CXXFLAGS) $(IN_ONE_PIECE) -c -o $@ $<

build/asan/unity/%.o: build/asan/unity/%.cc
	$(say) ASAN $<
	$(Q)$(CXX) $(ALL_CPPFLAGS) $(SANITIZE) $(ALL_CXXFLAGS) $(IN_ONE_PIECE) -c -o $@ $<

build/asan/%.o: %.cc
	$(say) ASAN $<
	$(Q)mkdir -p $(@D) && $(CXX) $(ALL_CPPFLAGS) $(SANITIZE) $(ALL_CXXFLAGS) -c -o $@ $<

# --- the programs ------------------------------------------------------------------------------
all: build/etcd-snapshot build/etcd-snapshot-generator

build/etcd-snapshot: build/release/agent/main.o $(patsubst %,build/release/%.a,$(MODULES))
	$(say) LINK $@
	$(Q)$(CXX) $(OPTIMIZE) $(HARDENING_LD) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -Wl,--as-needed $(LIBS)

# Read by systemd at every boot and reload: neither libcurl nor OpenSSL.
build/etcd-snapshot-generator: build/release/agent/generator.o build/release/systemd.a \
	build/release/config.a build/release/base.a
	$(say) LINK $@
	$(Q)$(CXX) $(OPTIMIZE) $(HARDENING_LD) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -Wl,--as-needed $(LIBS_generator)

# A module in one piece needs all libraries; that the generator needs few is seen above.
build/asan/etcd-snapshot-generator: build/asan/agent/generator.o build/asan/systemd.a \
	build/asan/config.a build/asan/base.a
	$(say) LINK $@
	$(Q)$(CXX) $(SANITIZE) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -Wl,--as-needed $(LIBS)

# Reference programs of the tests and the bench: not installed.
build/tests/zip_stream: build/release/tests/tools/zip_stream.o build/release/archive.a build/release/base.a
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CXX) $(OPTIMIZE) $(HARDENING_LD) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -Wl,--as-needed $(LIBS)

# Preloaded: system calls that fail on purpose.
build/tests/faults.so: tests/tools/faults.cc
	$(say) CXX $@
	$(Q)mkdir -p $(@D) && $(CXX) -std=c++20 $(WARNINGS) -O1 -fPIC -shared -o $@ $<

build/bench/fill: build/release/tests/bench/kube_objects.o build/release/tests/bench/connection.o
build/bench/drain: build/release/tests/bench/connection.o
build/bench/many_objects: build/release/tests/bench/http_request.o
build/bench/%: build/release/tests/bench/%.o
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CXX) $(OPTIMIZE) $(HARDENING_LD) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--as-needed $(LIBS)

# --- what it takes, from the distribution's packages -------------------------------------------
# build: to build and install; test: what the tests start.
# To build it; check, demo and bench install what they need themselves.
deps:
	$(Q)tests/deps.sh build

# --- tests -------------------------------------------------------------------------------------
check:
	$(Q)began=$$(date +%s) && tests/deps.sh build test package && \
	$(MAKE) --no-print-directory -j$(JOBS) check-installed STARTED="$$began $$(date +%s)"

# The same without looking for packages.
check-installed: all $(MODULES:%=build/asan/unit_%) build/tests/zip_stream build/tests/faults.so build/bench/fill build/asan/etcd-snapshot-generator
	$(Q)MODULES="$(MODULES)" PYTHON="$(PYTHON)" MANDOC="$(MANDOC)" STARTED="$(STARTED)" tests/run.sh

# One module's unit tests: make unit M=s3, or with T= a group: make unit M=s3 T=Bucket.
ifneq ($(filter unit,$(MAKECMDGOALS)),)
  ifeq ($(filter $(M),$(MODULES)),)
    $(error make unit takes M=MODULE, one of: $(MODULES))
  endif
endif
unit: build/asan/unit_$(M)
	$(Q)$< $(if $(T),-sg $(T))

# What needs neither root nor a server.
quick: $(MODULES:%=build/asan/unit_%) build/asan/etcd-snapshot-generator build/etcd-snapshot
	$(Q)ONLY="unit golden pages metrics layout" MODULES="$(MODULES)" PYTHON="$(PYTHON)" MANDOC="$(MANDOC)" tests/run.sh

# S3=1: with a bucket, in a Ceph RADOS Gateway of the demo's own.
demo:
	$(Q)tests/deps.sh build demo $(if $(S3),s3)
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) build/etcd-snapshot build/bench/fill
	$(Q)S3="$(S3)" PYTHON="$(PYTHON)" tests/demo/demo.sh

bench:
	$(Q)tests/deps.sh build bench s3
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(patsubst %,build/bench/%,fill drain measure many_objects)
	$(Q)$(PYTHON) tests/bench/bench.py $(BENCH_ARGS)

lint:
	$(Q)tests/lint/lint.sh

# --- installation ------------------------------------------------------------------------------
# Paths in units, manuals and drop-ins are those of the distributions; `prefix` moves the files for
# packagers whose paths differ.
INSTALLED := $(bindir)/etcd-snapshot $(systemdsystemgeneratordir)/etcd-snapshot-generator \
	$(systemdsystemunitdir)/etcd-snapshot.service $(systemdsystemunitdir)/etcd-snapshot.timer \
	$(systemdsystemunitdir)/etcd-snapshot-tick.service $(systemdsystemunitdir)/etcd-snapshot-retry.timer \
	$(tmpfilesdir)/etcd-snapshot.conf $(catalogdir)/etcd-snapshot.catalog \
	$(mandir)/man8/etcd-snapshot.8 $(mandir)/man5/etcd-snapshot.conf.5 \
	$(mandir)/man8/etcd-snapshot-generator.8 $(docdir)/examples/cluster.yml \
	$(docdir)/examples/etcd-snapshot.conf $(completionsdir)/etcd-snapshot \
	$(docdir)/examples/etcd-snapshot.rules.yml $(docdir)/examples/etcd-snapshot.json \
	$(docdir)/examples/etcd-snapshot-failed@.service $(docdir)/examples/etcd-snapshot-notify

install: all
	$(INSTALL) -D -m 0755 build/etcd-snapshot $(DESTDIR)$(bindir)/etcd-snapshot
	$(INSTALL) -D -m 0755 build/etcd-snapshot-generator $(DESTDIR)$(systemdsystemgeneratordir)/etcd-snapshot-generator
	$(INSTALL) -D -m 0644 units/etcd-snapshot.service $(DESTDIR)$(systemdsystemunitdir)/etcd-snapshot.service
	sed -i 's,/usr/bin/etcd-snapshot,$(bindir)/etcd-snapshot,' $(DESTDIR)$(systemdsystemunitdir)/etcd-snapshot.service
	$(INSTALL) -D -m 0644 units/etcd-snapshot.timer $(DESTDIR)$(systemdsystemunitdir)/etcd-snapshot.timer
	$(INSTALL) -D -m 0644 units/etcd-snapshot-tick.service $(DESTDIR)$(systemdsystemunitdir)/etcd-snapshot-tick.service
	$(INSTALL) -D -m 0644 units/etcd-snapshot-retry.timer $(DESTDIR)$(systemdsystemunitdir)/etcd-snapshot-retry.timer
	$(INSTALL) -D -m 0644 units/etcd-snapshot.tmpfiles.conf $(DESTDIR)$(tmpfilesdir)/etcd-snapshot.conf
	$(INSTALL) -D -m 0644 units/etcd-snapshot.catalog $(DESTDIR)$(catalogdir)/etcd-snapshot.catalog
	$(INSTALL) -D -m 0644 man/etcd-snapshot.8 $(DESTDIR)$(mandir)/man8/etcd-snapshot.8
	$(INSTALL) -D -m 0644 man/etcd-snapshot-generator.8 $(DESTDIR)$(mandir)/man8/etcd-snapshot-generator.8
	$(INSTALL) -D -m 0644 man/etcd-snapshot.conf.5 $(DESTDIR)$(mandir)/man5/etcd-snapshot.conf.5
	$(INSTALL) -D -m 0644 etc/cluster.yml.example $(DESTDIR)$(docdir)/examples/cluster.yml
	$(INSTALL) -D -m 0644 etc/etcd-snapshot.conf $(DESTDIR)$(docdir)/examples/etcd-snapshot.conf
	$(INSTALL) -D -m 0644 etc/prometheus/etcd-snapshot.rules.yml $(DESTDIR)$(docdir)/examples/etcd-snapshot.rules.yml
	$(INSTALL) -D -m 0644 etc/grafana/etcd-snapshot.json $(DESTDIR)$(docdir)/examples/etcd-snapshot.json
	$(INSTALL) -D -m 0644 etc/systemd/etcd-snapshot-failed@.service $(DESTDIR)$(docdir)/examples/etcd-snapshot-failed@.service
	$(INSTALL) -D -m 0644 etc/systemd/etcd-snapshot-notify $(DESTDIR)$(docdir)/examples/etcd-snapshot-notify
	$(INSTALL) -D -m 0644 etc/etcd-snapshot.bash-completion $(DESTDIR)$(completionsdir)/etcd-snapshot
	$(INSTALL) -d -m 0750 $(DESTDIR)$(sysconfdir)/etcd-snapshot
	@echo "Installed. Next: write $(sysconfdir)/etcd-snapshot/cluster.yml (an example is in $(docdir)/examples), then"
	@echo "  systemd-tmpfiles --create etcd-snapshot.conf && journalctl --update-catalog"
	@echo "  etcd-snapshot check && systemctl daemon-reload && systemctl enable --now etcd-snapshot.timer"

# Configuration and snapshots stay.
uninstall:
	-if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl disable --now etcd-snapshot.timer; fi
	rm -f $(INSTALLED:%=$(DESTDIR)%)
	-rmdir --ignore-fail-on-non-empty $(DESTDIR)$(docdir)/examples $(DESTDIR)$(docdir)
	@echo "Removed. Next: systemctl daemon-reload && journalctl --update-catalog"

# --- packages, into build/packages, compiled and tested as a distribution does it ------------------
# SUITE=trixie builds for that Debian, in a root of its own that has only the build dependencies.
.PHONY: deb rpm
deb:
	$(Q)tests/deps.sh build package
	$(Q)tests/packages/build_deb.sh build/packages $(SUITE)

rpm:
	$(Q)tests/deps.sh build package
	$(Q)tests/packages/build_rpm.sh build/packages

clean:
	rm -rf build

-include $(shell find build/release build/asan build/fuzz -name '*.d' -type f 2>/dev/null)
