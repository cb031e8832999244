"""Process attributes from the command line: what is set, clamped, refused."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from containerizer import Containerizer
from isolators.resources import ProcessAttributes
from launcher.errors import InvalidRequest
from launcher.process_attributes import Nice, Policy, Rlimit
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "cgroup")


def test_a_task_with_all_of_them(fresh: Cli) -> None:
    limits = ("--ulimit", "core=2560:unlimited", "--ulimit", "nofile=99")  # core: 5 blocks of 512 bytes
    options = ("--oom-score-adj", "77", "--nice", "3", "--umask", "077", "--cpu-affinity", "0")
    more = ("--sysctl", "net.core.somaxconn=9", "--ionice", "3")
    show = "ulimit -c; ulimit -Hc; ulimit -n; cat /proc/self/oom_score_adj; nice; umask; ionice;"
    show += "cat /proc/sys/net/core/somaxconn; nproc"
    done = fresh("run", "--rm", *limits, *options, *more, "host", "sh", "-c", show)
    assert done.stderr == ""
    expected = ["5", "unlimited", "99", "77", "3", "0077", "idle", "9", "1"]
    assert done.stdout.split("\n") == [*expected, ""]


def test_what_the_host_forbids_is_refused_or_clamped_and_said(fresh: Cli) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = max(hard, int(Path("/proc/sys/fs/nr_open").read_text())) + 1
    task = ("--ulimit", f"nofile={asked}", "host", "sh", "-c", "ulimit -n")
    refused = fresh("run", "--rm", *task)
    assert refused.returncode == 125
    assert (
        f"cannot set the process attributes: limit on nofile {asked}:{asked}: the host grants {hard}:{hard}"
        in (refused.stderr)
    )
    clamped = fresh("run", "--rm", "--best-effort", *task)
    assert clamped.stdout == f"{hard}\n"
    (warning,) = clamped.stderr.splitlines()
    expected = f"containerizer: warning: limit on nofile: asked for {asked}:{asked}, granted {hard}:{hard}: "
    assert warning.startswith(expected)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--ulimit", "nofile"), "invalid --ulimit 'nofile'; write NAME=SOFT[:HARD]"),
        (("--ulimit", "nofile=2:1"), "invalid resource limit 2:1; soft must not exceed hard"),
        (("--ulimit", "files=2"), "isolator posix/rlimits: unknown resource limit 'files'; use as, core, "),
        (("--nice", "20"), "invalid nice value 20; it goes from -20 to 19"),
        (("--scheduler", "fifo"), "invalid fifo priority 0; it goes from 1 to 99"),
        (("--scheduler", "rr:x"), "invalid --scheduler 'rr:x'; write POLICY[:PRIORITY]"),
        (("--ionice", "slow"), "unknown input/output class 'slow'; use realtime, best-effort, idle"),
        (("--cpu-affinity", "3-1"), "invalid --cpu-affinity '3-1'; write numbers and ranges"),
        (("--umask", "888"), "invalid umask '888'; write it in octal, 0 to 777"),
        (("--personality", "vax"), "unknown personality 'vax'; use linux, linux32"),
        (("--sysctl", "net.core"), "invalid --sysctl 'net.core'; write NAME=VALUE"),
        (("--sysctl", "kernel.panic=1"), "sysctl kernel.panic is the whole host's, not a container's"),
        (("--isolation", "linux/nnp", "--nice", "1"), "no loaded isolator enforces nice; add linux/sched"),
    ],
)
def test_bad_input_is_one_line(fresh: Cli, options: tuple[str, ...], text: str) -> None:
    done = fresh("run", "--rm", *options, "host", "true")
    assert done.returncode == 125
    assert done.stderr.startswith(f"containerizer: {text}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_program_learns_what_was_clamped(fresh: Cli) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = max(hard, int(Path("/proc/sys/fs/nr_open").read_text())) + 1
    attributes = ProcessAttributes(
        rlimits={"nofile": Rlimit(soft=asked, hard=asked, policy=Policy.CLAMP)}, nice=Nice(value=2)
    )
    with Containerizer(root=str(fresh.root), state=str(fresh.state)) as containerizer:
        container = containerizer.launch("host", ["true"], attributes=attributes)
        assert [(c.attribute, c.granted) for c in container.clamped] == [
            ("limit on nofile", f"{hard}:{hard}")
        ]
        container.wait()
        with pytest.raises(InvalidRequest, match=r"sysctl vm\.swappiness"):
            attributes = ProcessAttributes(sysctls={"vm.swappiness": "1"})
            containerizer.launch("host", ["true"], attributes=attributes)
