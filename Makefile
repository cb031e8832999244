# Each target does all the set-up that it needs; a second run finds it done.
# Everything that is installed goes to .venv, except for the Debian packages below.

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/installed

# Programs that tests and the demo start, and the Debian packages that have them.
PROGRAMS := docker-registry:docker-registry busybox:busybox-static newuidmap:uidmap openssl:openssl protoc:protobuf-compiler \
	/usr/lib/cni/bridge:containernetworking-plugins iptables:iptables nft:nftables ip:iproute2 stress-ng:stress-ng chromium:chromium chromedriver:chromium-driver \
	slirp4netns:slirp4netns pasta:passt zsh:zsh fish:fish sshfs:sshfs /usr/lib/openssh/sftp-server:openssh-sftp-server kubectl:kubernetes-client
VM_TESTS := tests/isolators tests/end_to_end/test_disk_quota.py tests/end_to_end/test_limits_table.py tests/end_to_end/test_rootless_limits.py -q
SYSTEMD_PROGRAMS := /lib/systemd/systemd:systemd dbus-daemon:dbus-daemon
VM_PROGRAMS := qemu-system-x86_64:qemu-system-x86 busybox:busybox-static mkfs.xfs:xfsprogs apparmor_parser:apparmor secilc:secilc rpc.nfsd:nfs-kernel-server mount.nfs:nfs-common

# What of these is not there, as packages.
FIND_MISSING = missing=; for pair in $(1); do \
		command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair\#*:}"; done

# Tests and demo need root, for namespaces, cgroups and mounts. Without sudo they run anyway and say
# what they lack; with it they leave nothing of root's in the checkout.
SUDO := $(shell test "$$(id -u)" = 0 || command -v sudo)
COMMA := ,
AS_ROOT := $(if $(SUDO),$(SUDO) --preserve-env=CI$(COMMA)CONTAINERIZER_TEST_REQUIRE env PYTHONDONTWRITEBYTECODE=1)

# Real interpreters before whatever PATH has: a version manager's shims cost 0.1 s a start.
FIND_PYTHON = for python in /usr/bin/python3.1[1-9] /usr/local/bin/python3.1[1-9] \
		python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
	done; \
	test -n "$$python" || { echo "Python 3.11 or newer is missing: apt-get install python3" >&2; exit 1; }

.PHONY: help venv packages vm-packages systemd-packages vm-kernel demo test test-v1 test-v2 test-hybrid test-systemd prove-gpu lint check proto bench-launch bench-agent bench-commands bench-pull bench-network bench-uplinks bench-cri bench-security fuzz clean reference picture man dist
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

venv: $(STAMP) ## the virtual environment with this project and its tools

# compat: the project's directory on sys.path, instead of an import hook that costs each start 14 ms.
# pip's output goes to $(VENV)/pip.log, and its end is shown when it failed.
PIP_INSTALL := -m pip install --disable-pip-version-check --no-input --config-settings editable_mode=compat

$(STAMP): pyproject.toml | packages
	@$(FIND_PYTHON); \
	$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
		echo "venv: making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV) || { echo "venv: $$python lacks venv (apt-get install python3-venv)" >&2; exit 1; }; }
	@echo "venv: installing this project and its tools"
	@$(PYTHON) $(PIP_INSTALL) -e '.[dev,cri]' >$(VENV)/pip.log 2>&1 || { \
		tail -n 20 $(VENV)/pip.log >&2; echo "venv: pip failed; is there a way to a package index?" >&2; exit 1; }
	@touch $(STAMP)

# Never fails: without a package manager or a network the tests skip, and the demo goes another way.
packages: ## the Debian packages that tests and demo use
	@$(call FIND_MISSING,$(PROGRAMS)); \
	test -x $(PYTHON) || { $(FIND_PYTHON); \
		"$$python" -c 'import ensurepip' 2>/dev/null || missing="$$missing $$(basename $$python)-venv"; }; \
	test -z "$$missing" || .ci/packages $$missing

demo: venv packages ## a container from a real registry, explained step by step
	@$(AS_ROOT) $(PYTHON) docs/demo.py

test: lint packages ## all checks: lint, then every test that this host can run
	@$(AS_ROOT) $(PYTHON) -m pytest $(if $(SUDO),-p no:cacheprovider) $(TESTS)

test-v1 test-v2 test-hybrid: test-%: venv packages vm-packages ## tests in a virtual machine with this version of cgroups
	@$(AS_ROOT) $(PYTHON) -m tests.vm --cgroup $* $(if $(LSM),--lsm $(LSM)) $(if $(LIMIT),--limit $(LIMIT)) -- $(or $(TESTS),$(VM_TESTS))

test-systemd: venv packages vm-packages systemd-packages ## tests in one whose process 1 is systemd, on cgroup v2
	@$(AS_ROOT) $(PYTHON) -m tests.vm --cgroup systemd $(if $(LIMIT),--limit $(LIMIT)) -- $(or $(TESTS),tests/systemd -q)

vm-kernel: venv packages vm-packages # fails where no virtual machine can be had
	@$(AS_ROOT) $(PYTHON) -m tests.vm --fetch

prove-gpu: venv packages ## on a host with NVIDIA GPUs: that containers see their own, and no others
	@$(PYTHON) $(PIP_INSTALL) --quiet -e '.[gpu]'
	@$(AS_ROOT) $(PYTHON) -m tests.prove_gpu

vm-packages: # for the virtual machine; as above
	@$(call FIND_MISSING,$(VM_PROGRAMS)); test -z "$$missing" || .ci/packages $$missing

systemd-packages: # for that with systemd; on the host nothing of it runs
	@$(call FIND_MISSING,$(SYSTEMD_PROGRAMS)); test -z "$$missing" || .ci/packages $$missing

bench-launch: venv packages $(VENV)/plots ## launch times, ours and those of the runtimes installed here
	@$(AS_ROOT) $(PYTHON) benchmarks/launch.py launches.png
	@echo "drawn: launches.png"

$(VENV)/plots: $(STAMP)
	@$(PYTHON) $(PIP_INSTALL) --quiet -e '.[bench]'
	@touch $@

bench-agent: venv packages ## the agent: containers a second, many at once, and a soak
	@$(AS_ROOT) $(PYTHON) -m benchmarks.agent

bench-commands: venv ## how long commands take that only tell something
	@$(PYTHON) benchmarks/commands.py

bench-pull: venv packages ## pull times, ours and those of the tools installed here
	@$(AS_ROOT) $(PYTHON) benchmarks/pull.py

bench-network: venv packages ## networks: throughput and launches, ours and podman's where it is installed
	@$(AS_ROOT) $(PYTHON) -m benchmarks.network

bench-uplinks: venv packages ## throughput to another host, of this one and of containers on its network device
	@$(AS_ROOT) $(PYTHON) -m benchmarks.uplinks

bench-cri: venv packages ## pods through the CRI: ours and containerd's, where it is installed, and 60 at once
	@$(AS_ROOT) $(PYTHON) -m benchmarks.cri

reference: venv ## docs/reference/, from the code
	@$(PYTHON) docs/reference.py

picture: venv packages ## docs/run.svg, the recording in the README
	@$(AS_ROOT) $(PYTHON) docs/picture.py

man: venv ## manual pages in build/man, from the code
	@$(PYTHON) docs/reference.py build/man
	@echo "made: build/man/*.1; look at one with: man -l build/man/containerizer-run.1"

dist: venv ## a wheel and a source distribution, in dist
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input build
	@rm -rf dist build/lib && $(PYTHON) -m build --outdir dist . >dist.log 2>&1 || { tail -n 20 dist.log >&2; exit 1; }
	@rm -f dist.log && ls dist/*

bench-security: venv packages ## what a default container can do, ours and those of the tools installed here
	@$(AS_ROOT) $(PYTHON) -m benchmarks.security

fuzz: venv ## a minute of looking for archives that break the tar reader
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input atheris
	@$(AS_ROOT) $(PYTHON) -m tests.fuzz.fuzz_tar -max_total_time=60 -verbosity=0 -print_final_stats=1

lint: venv ## style, types and import directions
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports

# An older compiler on purpose: what it writes runs with every later protobuf, and not the other way round.
proto: ## what Python needs of the *.proto files, made anew by Debian's protoc
	@command -v protoc >/dev/null || .ci/packages protobuf-compiler
	@protoc --python_out=. --pyi_out=. containerizer/api/proto/*.proto containerizer/cri/proto/*.proto isolators/volume/proto/*.proto

check: test ## the same as test

clean: ## remove all that was made here, the virtual environment included
	rm -rf $(VENV) .vm *.egg-info build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
