"""`python -m tests.vm`; see the package."""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import sys
from pathlib import Path

from tests import requires
from tests.vm import kernel, machine

CHECKOUT = Path(__file__).resolve().parents[2]
DIRECTORY = CHECKOUT / ".vm"

# What this kernel has may not be skipped. Which programs there are is the host's business.
MANDATORY = ("root", "userns", "cgroup", "overlay", "ext4", "ext4_quota", "xfs_quota", "tun", "keyctl")
CGROUP_NEEDS = {"v1": {"cgroup1"}, "v2": {"cgroup2"}, "hybrid": set(), "systemd": {"cgroup2", "systemd"}}

ENVIRONMENT = {
    "HOME": "/root",
    "CONTAINERIZER_TEST_PATIENCE": "30",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
JUNIT = "/run/vm/junit.xml"
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={JUNIT}")

EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h


def main() -> int:
    arguments = _parse()
    try:
        return _boot(arguments)
    except kernel.Unavailable as error:
        print(f"tests.vm: {error}", file=sys.stderr)
        return EXIT_UNAVAILABLE


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description="run tests in a virtual machine")
    parser.add_argument("--cgroup", choices=tuple(CGROUP_NEEDS), default="v2")
    parser.add_argument("--lsm", choices=tuple(machine.LSM), help="the security module that labels processes")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds until the guest is ended")
    parser.add_argument("--fetch", action="store_true", help="have what a boot takes, and boot nothing")
    parser.add_argument("--exec", action="store_true", help="the arguments are a command, not pytest's")
    parser.add_argument("arguments", nargs="*", help="for pytest, or the command; after --")
    return parser.parse_args()


def _boot(arguments: argparse.Namespace) -> int:
    if platform.machine() != "x86_64":
        raise kernel.Unavailable(f"the guest is of x86_64, and this host is of {platform.machine()}")
    if os.geteuid() != 0:
        raise kernel.Unavailable("only root can share the host's files with the guest")
    machine.check(systemd=arguments.cgroup == "systemd")
    results = DIRECTORY / arguments.cgroup
    results.mkdir(parents=True, exist_ok=True)
    with (DIRECTORY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time in this checkout
        directory = kernel.fetch(DIRECTORY / "kernel")
        if arguments.fetch:
            return 0
        job = machine.Job(
            cgroup=arguments.cgroup,
            argv=[*(() if arguments.exec else PYTEST), *arguments.arguments],
            directory=str(CHECKOUT),
            environment=_environment(arguments.cgroup, arguments.lsm),
            modules=str(directory / "lib/modules"),
            lsm=arguments.lsm,
        )
        return machine.run(job, directory, results, arguments.limit)


def _environment(cgroup: str, lsm: str | None) -> dict[str, str]:
    own = CGROUP_NEEDS[cgroup] | ({lsm} if lsm else set())
    asked = requires.mandatory(os.environ) - {"cgroup1", "cgroup2", "systemd"}
    ci = {name: os.environ[name] for name in ("CI",) if name in os.environ}
    return ENVIRONMENT | ci | {requires.ENVIRONMENT: ",".join(sorted({*MANDATORY, *asked, *own}))}


if __name__ == "__main__":
    sys.exit(main())
