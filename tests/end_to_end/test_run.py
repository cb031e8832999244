"""`containerizer run IMAGE COMMAND`: from a real registry to the end of the task."""

from __future__ import annotations

import dataclasses
import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from launcher.kernel import cgroups
from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

LIMITS = ("-m", "64m", "--cpus", "0.5", "--pids-limit", "20")

DOCKER_DEFAULT_CAPABILITIES = "00000000a80425fb"


@pytest.mark.requires("cgroup1")
def test_what_the_task_sees(cli: Cli, busybox: str) -> None:
    script = "echo $$; id -u; hostname; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status"
    done = cli("run", "--rm", *LIMITS, "--name", "seen", busybox, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    pid, uid, hostname, *status = done.stdout.splitlines()
    assert (pid, uid, hostname) == ("1", "0", "seen")
    assert dict(line.split(":\t") for line in status) == {
        "CapEff": DOCKER_DEFAULT_CAPABILITIES,
        "CapBnd": DOCKER_DEFAULT_CAPABILITIES,
        "NoNewPrivs": "1",
    }


@pytest.mark.requires("cgroup1")
def test_its_cgroup_carries_the_limits(cli: Cli, busybox: str) -> None:
    files = "memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us pids/pids.max"
    done = cli("run", "--rm", *LIMITS, busybox, "sh", "-c", f"cd /sys/fs/cgroup && cat {files}")
    assert done.stderr == ""
    memory, quota, period, pids = map(int, done.stdout.split())
    assert (memory, quota / period, pids) == (64 << 20, 0.5, 20)


@pytest.mark.anyone
def test_only_its_own_processes_and_devices(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", busybox, "sh", "-c", "ls -d /proc/[0-9]*; ls /sys/class/net; cat /proc/net/dev")
    processes, _, devices = done.stdout.partition("lo\n")
    assert set(processes.split()) <= {"/proc/1", "/proc/2"}, "the shell, and what it runs"
    assert devices.count(":") == 1, "lo is the only device"


def test_its_cgroup_is_its_root(cli: Cli, busybox: str) -> None:
    """In every hierarchy: one that it had not joined, it could mount as the host sees it."""
    with cli.start(
        "run", "--rm", "--name", "rooted", busybox, "sh", "-c", "cat /proc/self/cgroup; sleep 60"
    ) as run:
        assert run.stdout is not None
        with open("/proc/self/cgroup") as file:
            hierarchies = [line.split(":")[1] for line in file]
        inside = [run.stdout.readline().strip() for _ in hierarchies]
        (listed,) = cli.containers()
        outside = Path(f"/proc/{listed['pid']}/cgroup").read_text().splitlines()
    assert [line.split(":", 1)[1] for line in inside] == [f"{names}:/" for names in hierarchies]
    mounted = {name for hierarchy in cgroups.hierarchies() for name in hierarchy.identity} | {""}
    elsewhere = [line for line in outside if not line.endswith("/ct-rooted")]
    assert [line for line in elsewhere if line.split(":")[1] in mounted] == []


@pytest.mark.requires("cgroup1")
def test_past_the_memory_limit_it_is_killed_and_reported(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", "-m", "64m", "--name", "hog", busybox, "tail", "/dev/zero")
    assert done.returncode == 137
    assert "container hog: memory limitation by cgroups/mem" in done.stderr
    assert "limit 64.0 MiB" in done.stderr


@pytest.mark.requires("cgroup1")
def test_it_runs_on_the_cpus_that_it_is_given(cli: Cli, busybox: str) -> None:
    cpu = str(max(os.sched_getaffinity(0)))
    done = cli("run", "--rm", "--cpuset-cpus", cpu, busybox, "grep", "Cpus_allowed_list", "/proc/self/status")
    assert done.stdout.split() == ["Cpus_allowed_list:", cpu]


def test_a_fork_bomb_stops_at_the_limit(cli: Cli, busybox: str) -> None:
    bomb = "for i in $(seq 100); do sleep 1000 & done; cat /sys/fs/cgroup/pids/pids.max"
    done = cli("run", "--rm", "--pids-limit", "20", busybox, "sh", "-c", bomb)
    assert done.returncode != 0
    assert "can't fork" in done.stderr
    counting = "( for i in $(seq 100); do sleep 1000 & done ) 2>/dev/null; ls -d /proc/[0-9]* | wc -l"
    done = cli("run", "--rm", "--pids-limit", "20", busybox, "sh", "-c", counting)
    assert int(done.stdout or 0) <= 20


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_tasks(cli: Cli, busybox: str, code: int) -> None:
    assert cli("run", "--rm", busybox, "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.anyone
def test_the_image_says_what_to_run_and_the_request_overrides_it(cli: Cli, busybox: str) -> None:
    assert cli("run", "--rm", "-i", busybox, stdin="echo from stdin").stdout == "from stdin\n"
    assert cli("run", "--rm", "--entrypoint", "echo", busybox, "-n", "x").stdout == "x"


@pytest.mark.anyone
def test_environment_user_directory_and_hostname(cli: Cli, busybox: str, tmp_path: object) -> None:
    options = ("-e", "A=1", "-u", "1000:1000", "-w", "/made/here", "--hostname", "box")
    done = cli("run", "--rm", *options, busybox, "sh", "-c", "echo $A $(id -u):$(id -g) $(pwd) $(hostname)")
    assert done.stdout == "1 1000:1000 /made/here box\n"


def test_without_i_there_is_no_input(cli: Cli, busybox: str) -> None:
    assert cli("run", "--rm", busybox, "cat", stdin="not for the task").stdout == ""


def test_output_and_errors_stay_apart(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", busybox, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.anyone
def test_read_only(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", "--read-only", busybox, "touch", "/x")
    assert done.returncode == 1
    assert "Read-only" in done.stderr


@pytest.mark.anyone
def test_a_device_node_that_the_task_makes_opens_nothing(cli: Cli, busybox: str) -> None:
    """CAP_MKNOD is in Docker's set, and there is no devices cgroup yet: `nodev` is the shield."""
    for place in ("/", "/dev", "/tmp"):
        script = f"mknod {place}/disk b 254 0 && head -c 1 {place}/disk"
        done = cli("run", "--rm", busybox, "sh", "-c", script)
        assert done.returncode != 0
        assert done.stdout == ""
        # To open it; an ordinary user may not even make it: mknod(2) takes the host's root.
        assert "ermission denied" in done.stderr or "not permitted" in done.stderr


@pytest.mark.parametrize(
    "path", ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"]
)
def test_the_hosts_settings_cannot_be_written(cli: Cli, busybox: str, path: str) -> None:
    done = cli("run", "--rm", busybox, "sh", "-c", f"[ -e {path} ] || exit 9; echo 0 > {path}")
    assert done.returncode in (1, 9), "written!"


@pytest.mark.anyone
def test_capabilities_are_added_and_dropped(cli: Cli, busybox: str) -> None:
    options = ("--cap-drop", "ALL", "--cap-add", "chown")
    done = cli("run", "--rm", *options, busybox, "grep", "CapEff", "/proc/self/status")
    assert done.stdout.split() == ["CapEff:", "0000000000000001"]


def test_the_hosts_own_filesystem_as_the_image(cli: Cli) -> None:
    done = cli("run", "--rm", "host", "sh", "-c", "echo $$; cat /proc/1/comm")
    assert done.stdout.splitlines() == ["1", "sh"]


@pytest.mark.anyone
def test_without_rm_it_is_kept_until_it_is_removed(cli: Cli, busybox: str) -> None:
    assert cli("run", "--name", "kept", busybox, "sh", "-c", "echo data > /file; exit 3").returncode == 3
    (listed,) = cli.containers()
    assert (listed["id"], listed["state"], listed["running"]) == ("kept", "terminated", False)
    assert (cli.root / "containers/kept/upper/file").read_text() == "data\n"
    assert "kept" not in cli("ps", "-q").stdout
    assert cli("ps", "-aq").stdout == "kept\n"
    again = cli("run", "--name", "kept", busybox, "true")
    assert again.returncode == 125
    assert "'kept' is taken" in again.stderr
    assert cli("rm", "kept").stdout == "kept\n"


@pytest.mark.anyone
def test_a_volume_of_the_image_is_filled_and_writable(cli: Cli, registry: Registry, busybox: str) -> None:
    """Writable even when the root is not, and with what the image has at its place."""
    parts = images.busybox({"Volumes": {"/root": {}}, "Cmd": ["sh"]})
    images.push(parts, registry.host, "volumes", "latest")
    script = "touch /root/new && stat -c %a /root && mount | grep -c ' /root '"
    done = cli("run", "--rm", "--read-only", f"{registry.host}/volumes", "sh", "-c", script)
    assert done.stderr == ""
    mode, mounts = done.stdout.split()
    assert mounts == "1"
    in_image = cli("run", "--rm", busybox, "stat", "-c", "%a", "/root")
    assert mode == in_image.stdout.strip()


def test_the_hosts_device_nodes_cannot_be_changed(cli: Cli, busybox: str) -> None:
    """Neither those in /dev, nor the /dev/null that stands for the missing input."""
    before = os.stat("/dev/null")
    for change in ("chmod 640 /dev/full", "chown 1 /dev/zero", "chmod 640 /proc/self/fd/0"):
        done = cli("run", "--rm", busybox, "sh", "-c", change)
        assert done.returncode != 0
        assert "Read-only" in done.stderr
    after = os.stat("/dev/null")
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


def test_the_supplementary_groups_include_the_users_own(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", "-u", "1234:777", busybox, "id", "-G")
    assert done.stdout.split() == ["777"]


def test_nobody_else_on_the_host_passes_into_a_sandbox(cli: Cli, busybox: str) -> None:
    """A setuid program in it would be one for every user of the host: CVE-2021-41091."""
    cli("run", "--name", "setuid", busybox, "sh", "-c", "cp /bin/busybox /suid; chmod 4755 /suid")
    program = str(cli.root / "containers/setuid/upper/suid")
    assert os.stat(program).st_mode & stat.S_ISUID
    nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "env",
    ]  # setpriv executes as root
    done = subprocess.run([*nobody, program, "id"], capture_output=True)
    cli("rm", "setuid")
    assert done.returncode != 0
    assert b"ermission denied" in done.stderr


def test_with_standard_descriptors_closed(cli: Cli, busybox: str) -> None:
    command = shlex.join([*cli.argv, "run", "--rm", busybox, "sh", "-c", "exit 5"])
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        assert subprocess.run(["sh", "-c", f"{command} {closed}"], timeout=60).returncode == 5


def test_a_sandbox_of_another_is_left_alone(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """The same root under another state directory, as after a reboot: the name is taken, and stays so."""
    assert cli("run", "--name", "twin", busybox, "sh", "-c", "echo kept > /file").returncode == 0
    other = dataclasses.replace(cli, state=tmp_path / "other")
    done = other("run", "--rm", "--name", "twin", busybox, "true")
    assert done.returncode == 125
    assert "containers/twin exists" in done.stderr
    assert (cli.root / "containers/twin/upper/file").read_text() == "kept\n"
    assert other.containers() == []
    assert cli("rm", "twin").returncode == 0


def test_an_image_cannot_write_to_the_callers_terminal(cli: Cli, registry: Registry) -> None:
    parts = images.busybox({"User": "\x1b[31mred\x1b[0m", "Cmd": ["true"]})
    images.push(parts, registry.host, "escapes", "latest")
    done = cli("run", "--rm", f"{registry.host}/escapes")
    assert done.returncode == 125
    assert "\x1b" not in done.stderr
    assert "red" in done.stderr


@pytest.mark.parametrize("place", ["/proc/acpi", "/sys/firmware", "/dev"])
def test_a_volume_is_not_led_into_another_mount(cli: Cli, registry: Registry, place: str) -> None:
    link = images.layer([images.symlink("v", place)])
    parts = images.image(images.busybox().layers[0], link, config={"Volumes": {"/v": {}}, "Cmd": ["true"]})
    images.push(parts, registry.host, "led", "latest")
    done = cli("run", "--rm", "--pull", "always", f"{registry.host}/led")
    assert done.returncode == 125
    assert "the volume would lie in another mount" in done.stderr
