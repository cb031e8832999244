"""linux/apparmor, linux/selinux: what they contribute, and what the child writes where, by recorded files."""

from __future__ import annotations

from pathlib import Path

import pytest

from isolators import catalog
from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig, IsolatorUnavailable
from isolators.linux import apparmor_profile
from isolators.linux.apparmor import LinuxApparmor
from isolators.linux.selinux import LinuxSelinux
from launcher.child import STEPS
from launcher.credential_steps import write_labels
from launcher.errors import InvalidRequest
from launcher.intermediate import STEPS as INTERMEDIATE
from launcher.kernel import labels
from launcher.launch_info import LaunchInfo
from launcher.program import runner
from launcher.program.assembler import Program
from tests.isolators.support import WEB

FLAGS = IsolatorFlags()
LABEL = "system_u:system_r:container_t:s0:c1,c2"


@pytest.mark.parametrize(("content", "has"), [("Y\n", True), ("N\n", False), (None, False)])
def test_whether_the_kernel_has_apparmor(tmp_path: Path, content: str | None, has: bool) -> None:
    if content is not None:
        (tmp_path / "enabled").write_text(content)
    assert labels.has_apparmor(str(tmp_path / "enabled")) is has


def test_whether_the_kernel_has_selinux(tmp_path: Path) -> None:
    assert not labels.has_selinux(str(tmp_path))
    (tmp_path / "enforce").write_text("1")
    assert labels.has_selinux(str(tmp_path))


def test_a_profile_has_to_be_loaded(tmp_path: Path) -> None:
    """As securityfs lists them: a name may have spaces and brackets in it."""
    (tmp_path / "profiles").write_text("docker-default (enforce)\nmy (own) one (complain)\n")
    isolator = LinuxApparmor(FLAGS, securityfs=str(tmp_path))
    for name in ("docker-default", "my (own) one"):
        assert isolator.contribute(WEB, ContainerConfig(apparmor=name)) == LaunchInfo(apparmor=name)
    assert isolator.contribute(WEB, ContainerConfig(apparmor="unconfined")) == LaunchInfo()
    with pytest.raises(InvalidRequest, match="no AppArmor profile 'docker' is loaded"):
        isolator.contribute(WEB, ContainerConfig(apparmor="docker"))


def test_ours_is_the_default_where_it_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apparmor_profile, "PARSER", str(tmp_path / "parser"))
    profiles, ours = tmp_path / "profiles", LaunchInfo(apparmor=apparmor_profile.NAME)

    def contributed() -> LaunchInfo:
        return LinuxApparmor(FLAGS, securityfs=str(tmp_path)).contribute(WEB, ContainerConfig())

    assert contributed() == LaunchInfo(), "nobody sees what is loaded"
    profiles.write_text("")
    assert contributed() == LaunchInfo(), "nothing loads it"
    profiles.write_text(f"{apparmor_profile.NAME} (enforce)\n")
    assert contributed() == ours
    profiles.write_text("")
    (tmp_path / "parser").write_text("#!/bin/sh\nread word && echo $word $1 $2 >&2; exit 7\n")
    (tmp_path / "parser").chmod(0o700)
    assert contributed() == ours
    with pytest.raises(IsolatorUnavailable, match=r"cannot be loaded: .* failed with exit code 7"):
        LinuxApparmor(FLAGS, securityfs=str(tmp_path)).create(WEB, ContainerConfig())


def test_a_label_has_to_be_known(tmp_path: Path) -> None:
    """The kernel is asked; a write that it refuses says no."""
    isolator = LinuxSelinux(FLAGS, selinuxfs=str(tmp_path))
    (tmp_path / "context").write_text("")
    assert isolator.contribute(WEB, ContainerConfig(selinux=LABEL)) == LaunchInfo(selinux=LABEL)
    assert (tmp_path / "context").read_text() == LABEL
    (tmp_path / "context").unlink()
    (tmp_path / "context").symlink_to("/dev/full")
    with pytest.raises(InvalidRequest, match="knows no SELinux label 'x'"):
        isolator.contribute(WEB, ContainerConfig(selinux="x"))


@pytest.mark.parametrize(("field", "what"), [("apparmor", "AppArmor"), ("selinux", "SELinux")])
def test_asked_for_on_a_kernel_without(field: str, what: str) -> None:
    if labels.has_apparmor() if field == "apparmor" else labels.has_selinux():
        pytest.skip(f"this kernel has {what}")
    names = catalog.default_for(ContainerConfig(**{field: "x"}))
    assert f"linux/{field}" in names
    with pytest.raises(IsolatorUnavailable, match=f"this host lacks {what}"):
        catalog.load(names, FLAGS)


@pytest.mark.parametrize(
    ("info", "file", "content"),
    [
        (LaunchInfo(apparmor="docker-default"), "exec", "exec docker-default"),
        (LaunchInfo(selinux=LABEL), "exec", LABEL),
    ],
)
def test_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: LaunchInfo, file: str, content: str
) -> None:
    """To a directory that records it, in place of /proc/self/attr."""
    own = tmp_path / "self" / "attr"
    own.mkdir(parents=True)
    (own / file).write_text("")
    monkeypatch.setattr(labels, f"{next(iter(info.asked()))}_file", lambda: str(own / file))
    program = Program()
    write_labels(program, info)
    program.call("exit_group", 0)
    runner.run(program)
    assert (own / file).read_text() == content


def test_apparmor_has_a_file_of_its_own_on_later_kernels(tmp_path: Path) -> None:
    assert labels.apparmor_file(str(tmp_path)) == f"{tmp_path}/exec"
    (tmp_path / "apparmor").mkdir()
    assert labels.apparmor_file(str(tmp_path)) == f"{tmp_path}/apparmor/exec"
    assert labels.selinux_file(str(tmp_path)) == f"{tmp_path}/exec"


def test_it_is_done_before_other_files_are_in_sight() -> None:
    """After the change of root /proc is what the image or a task makes of it."""
    names = [name for name, _ in STEPS]
    assert names.index("set the security labels") < names.index("make the mounts private")
    names = [name for name, _ in INTERMEDIATE]
    assert names.index("use the host's proc") < names.index("enter the namespaces")
