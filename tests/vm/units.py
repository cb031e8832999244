"""The guest's systemd: the units of a small system whose only purpose is the job, and the way there.

Of the host's units nothing is enabled here; what Debian's packages have in /lib is there, and what a guest
without devices of its own needs none of is masked.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SYSTEMD = "/lib/systemd/systemd"
UNITS = Path("/etc/systemd/system")  # the guest's own, and empty at first
TARGET = "job.target"

_MASKED = (
    *("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
    *("systemd-udev-trigger.service", "systemd-random-seed.service", "systemd-update-utmp.service"),
    *("systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "systemd-modules-load.service"),
    *("systemd-journal-flush.service", "systemd-machine-id-commit.service", "systemd-firstboot.service"),
    *("systemd-repart.service", "systemd-sysusers.service", "systemd-tmpfiles-setup-dev.service"),
    *("kmod-static-nodes.service", "systemd-ask-password-console.path", "systemd-sysctl.service"),
    *("systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "cryptsetup.target"),
    *("systemd-hwdb-update.service", "systemd-initctl.socket", "systemd-journald-audit.socket"),
)

_TARGET = """
[Unit]
Requires=job.service dbus.socket systemd-logind.service systemd-user-sessions.service
After=dbus.socket systemd-logind.service
AllowIsolate=yes
"""

_SERVICE = """
[Unit]
After=dbus.socket systemd-logind.service systemd-user-sessions.service

[Service]
ExecStart={command}
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=1048576
"""


def boot(command: list[str]) -> None:
    """Become systemd, which executes the command as a service. Returns never."""
    UNITS.mkdir(parents=True, exist_ok=True)
    subprocess.run(["busybox", "mount", "-t", "tmpfs", "-o", "mode=755", "units", str(UNITS)], check=True)
    for name in _MASKED:
        (UNITS / name).symlink_to("/dev/null")
    (UNITS / TARGET).write_text(_TARGET)
    (UNITS / "job.service").write_text(_SERVICE.format(command=" ".join(command)))
    Path("/etc/fstab").write_text("")  # the host's disks are not here
    os.execve(SYSTEMD, ["systemd", f"--unit={TARGET}"], {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
