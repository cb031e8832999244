"""Process attributes: what a task finds of them, and what it gets where the host forbids them."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher import attribute_steps
from launcher.child import Child
from launcher.data import replace
from launcher.errors import InvalidRequest, LaunchFailed
from launcher.kernel import process
from launcher.kernel.sysctl import namespace_of
from launcher.launch_info import LaunchInfo
from launcher.process_attributes import (
    Attribute,
    Clamped,
    CpuAffinity,
    IoPriority,
    Nice,
    OomScoreAdj,
    Policy,
    Rlimit,
    Scheduler,
)
from launcher.program import runner
from launcher.stdio import Inherit
from tests.launcher.support import ALL_NEW, Done, Launches

NOBODY = 65534

root = pytest.mark.requires("root")

# What a task says of itself, by the kernel's own words.
SHOW = {
    "rlimits": "cat /proc/self/limits",
    "oom_score_adj": "cat /proc/self/oom_score_adj",
    "nice": "nice",
    "scheduler": "chrt -p $$",
    "io_priority": "ionice",
    "cpu_affinity": "grep Cpus_allowed_list /proc/self/status",
    "umask": "umask",
    "personality": "uname -m",
}


def shown(launches: Launches, attribute: str, **info: Any) -> Done:
    return launches.run("sh", "-c", SHOW[attribute], **info)


@root
@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("oom_score_adj", OomScoreAdj(value=321), "321\n"),
        ("nice", Nice(value=7), "7\n"),
        ("nice", Nice(value=-3), "-3\n"),
        ("scheduler", Scheduler(name="batch"), "policy: SCHED_BATCH\n"),
        ("scheduler", Scheduler(name="idle"), "policy: SCHED_IDLE\n"),
        ("scheduler", Scheduler(name="fifo", priority=3), "priority: 3\n"),
        ("io_priority", IoPriority(name="idle"), "idle\n"),
        ("io_priority", IoPriority(name="best-effort", level=6), "best-effort: prio 6\n"),
        ("cpu_affinity", CpuAffinity(cpus=(0,)), "\t0\n"),
        ("umask", 0o077, "0077\n"),
        ("umask", None, "0022\n"),
        ("personality", "linux32", "i686\n"),
    ],
)
def test_the_task_has_the_attribute(launches: Launches, attribute: str, value: object, text: str) -> None:
    if (attribute, value) == ("personality", "linux32") and os.uname().machine != "x86_64":
        pytest.skip("other machines have other names for their 32 bits")
    assert text in shown(launches, attribute, **{attribute: value}).stdout


@root
def test_limits_are_set_in_the_end(launches: Launches) -> None:
    """Tight enough to disturb every step before."""
    limits = {
        "nofile": Rlimit(soft=4, hard=5),
        "core": Rlimit(soft=0, hard=None),
        "fsize": Rlimit(soft=0, hard=0),
        "as": Rlimit(soft=64 << 20, hard=64 << 20),
    }
    done = launches.run("cat", "/proc/self/limits", rlimits=limits, working_directory="/tmp")
    lines = {line[:25].strip(): line[25:].split()[:2] for line in done.lines}
    assert lines["Max open files"] == ["4", "5"]
    assert lines["Max core file size"] == ["0", "unlimited"]
    assert lines["Max file size"] == ["0", "0"]
    assert lines["Max address space"] == [str(64 << 20)] * 2


@root
def test_a_limit_that_the_host_forbids_is_refused_or_clamped(launches: Launches) -> None:
    """Even CAP_SYS_RESOURCE raises `nofile` no further than fs.nr_open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = max(hard, int(Path("/proc/sys/fs/nr_open").read_text())) + 1
    refused = launches.clone("true", rlimits={"nofile": Rlimit(soft=asked, hard=asked)})
    with pytest.raises(LaunchFailed, match=f"limit on nofile {asked}.*: the host grants {hard}") as raised:
        refused.task.release()
    assert "--best-effort" in str(raised.value)
    limit = Rlimit(soft=asked, hard=asked, policy=Policy.CLAMP)
    launched = launches.start("sh", "-c", "ulimit -Sn; ulimit -Hn; read line", rlimits={"nofile": limit})
    assert [launched.line(), launched.line()] == [str(hard)] * 2
    (clamped,) = launched.task.clamped
    assert (clamped.attribute, clamped.asked) == ("limit on nofile", f"{asked}:{asked}")
    assert clamped.granted == f"{hard}:{hard}"


@root
def test_cpus_that_are_not_there_are_refused_or_clamped(launches: Launches) -> None:
    there = os.sched_getaffinity(0)
    with pytest.raises(LaunchFailed, match=r"CPU affinity .*4000"):
        launches.clone("true", cpu_affinity=CpuAffinity(cpus=(*there, 4000)))
    for cpus in ((*there, 4000), (4000,)):
        launched = launches.start("true", cpu_affinity=CpuAffinity(cpus=cpus, policy=Policy.CLAMP))
        assert [c.granted for c in launched.task.clamped] == [",".join(map(str, sorted(there)))]


@root
def test_what_was_granted_is_not_reported(launches: Launches) -> None:
    launched = launches.start("true", nice=Nice(value=1, policy=Policy.CLAMP))
    assert launched.task.clamped == ()


class Unprivileged:
    """Runs a step of the child's as a user who may do nothing."""

    def __init__(self) -> None:
        self.child = Child(LaunchInfo(argv=("true",)), Inherit(0), 2)
        self.child.program.call("setresuid", NOBODY, NOBODY, NOBODY)

    def run(self) -> list[Clamped]:
        """What is reported. Raises OSError."""
        self.child.program.call("exit_group", 0)
        sent = runner.run(self.child.program)
        assert sent.descriptors == []
        return [self.child.reports[number] for number in sent.reports]


@root
@pytest.mark.parametrize(
    ("step", "wanted", "granted"),
    [
        (attribute_steps.set_nice, Nice(value=-5), "0"),
        (attribute_steps.set_scheduler, Scheduler(name="rr", priority=5), "other"),
        (attribute_steps.set_io_priority, IoPriority(name="realtime", level=1), "best-effort:0"),
    ],
)
def test_priorities_without_privileges(
    step: Callable[[Child, Attribute], None], wanted: Attribute, granted: str
) -> None:
    refused = Unprivileged()
    step(refused.child, wanted)
    with pytest.raises(PermissionError, match=f"the host grants {granted}: "):
        refused.run()
    clamped = Unprivileged()
    step(clamped.child, replace(wanted, policy=Policy.CLAMP))
    assert [report.granted for report in clamped.run()] == [granted]


@pytest.mark.parametrize(("own", "tasks"), [("-999", "0"), ("0", "0"), ("250", "250")])
def test_a_shield_of_the_launcher_is_not_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, tasks: str
) -> None:
    """A file stands for the kernel's: lowering the real one may be forbidden to this host's root."""
    file = tmp_path / "oom_score_adj"
    file.write_text(own)
    monkeypatch.setattr(process, "OOM_SCORE_ADJ", str(file))
    child = Child(LaunchInfo(argv=("true",)), Inherit(0), 2)
    attribute_steps.set_oom_score_adj(child)
    child.program.call("exit_group", 0)
    runner.run(child.program)
    assert file.read_text().rstrip("\n")[: len(tasks)] == tasks


@root
def test_sysctls_are_set_in_the_containers_namespaces(launches: Launches) -> None:
    values = {
        "net.ipv4.ip_unprivileged_port_start": "7",
        "net.ipv4.conf.lo.forwarding": "1",
        "kernel.shm_rmid_forced": "1",
        "fs.mqueue.msg_max": "11",
        "kernel.domainname": "example.org",
    }
    files = [f"/proc/sys/{name.replace('.', '/')}" for name in values]
    before = [Path(file).read_text() for file in files]
    assert launches.run("cat", *files, sysctls=values).lines == list(values.values())
    assert [Path(file).read_text() for file in files] == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.core.somaxconn", "net"),
        ("net/ipv4/conf/eth0.100/forwarding", "net"),
        ("kernel.sem", "ipc"),
        ("kernel.hostname", "uts"),
        ("kernel.panic", None),
        ("kernel.shmmax.more", None),
        ("vm.swappiness", None),
        ("net", None),
        ("net/../kernel/panic", None),
        ("net.//.kernel.panic", None),
        ("net..core", None),
        ("", None),
    ],
)
def test_the_namespace_of_a_sysctl(name: str, kind: str | None) -> None:
    assert namespace_of(name) == kind


@root
@pytest.mark.parametrize(
    ("name", "namespaces", "text"),
    [
        ("kernel.panic", ALL_NEW, "sysctl kernel.panic is the whole host's"),
        ("net.core.somaxconn", {"mnt": "new"}, "would change a net namespace that is not the container's"),
        ("net.core.somaxconn", {"net": "/proc/self/ns/net"}, "would change a net namespace"),
    ],
)
def test_a_sysctl_of_others_is_refused(
    in_process: Launches, name: str, namespaces: dict[str, str], text: str
) -> None:
    with pytest.raises(InvalidRequest, match=text):
        in_process.clone("true", sysctls={name: "1"}, namespaces=namespaces)


@root
def test_an_unknown_personality_is_refused(in_process: Launches) -> None:
    with pytest.raises(InvalidRequest, match="unknown personality 'vax'"):
        in_process.clone("true", personality="linux32,vax")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Rlimit(soft=2, hard=1), "invalid resource limit 2:1"),
        (lambda: Rlimit(soft=None, hard=1), "invalid resource limit unlimited:1"),
        (lambda: Rlimit(soft=-2, hard=1), "invalid resource limit -2"),
        (lambda: OomScoreAdj(value=-1001), "invalid OOM score adjustment -1001"),
        (lambda: Nice(value=20), "invalid nice value 20"),
        (lambda: Scheduler(name="deadline"), "unknown scheduler 'deadline'"),
        (lambda: Scheduler(name="fifo"), "invalid fifo priority 0"),
        (lambda: Scheduler(name="batch", priority=1), "invalid batch priority 1"),
        (lambda: IoPriority(name="idle", level=1), "invalid idle level 1"),
        (lambda: CpuAffinity(cpus=()), "an empty set of CPUs"),
        (lambda: CpuAffinity(cpus=(-1,)), "invalid CPU number -1"),
    ],
)
def test_values_out_of_range_are_refused(make: Any, text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        make()


def test_a_clamped_value_is_a_sentence() -> None:
    clamped = Clamped(attribute="nice value", asked="-5", granted="0", reason="why")
    assert str(clamped) == "nice value: asked for -5, granted 0: why"
