"""volume/csi: staged and published for the first container, and taken back after the last, whoever dies."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from containerizer import codec
from isolators import secrets
from isolators.csi import CsiVolume
from isolators.driver_volumes import VolumeFailed
from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig
from isolators.secrets import Secret, SecretReference
from isolators.volume.csi import VolumeCsi
from isolators.volume.csi_plugins import CsiFailed
from isolators.volumes import CSI, Volume
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError, InvalidRequest

grpc = pytest.importorskip("grpc", reason="the plug-in of these tests is served by grpcio")

from tests.support.csi_plugin import NAME, CsiServer, listening  # noqa: E402

pytestmark = pytest.mark.requires("root")

ONE, OTHER = ContainerId("one"), ContainerId("other")
STAGE, PUBLISH = "NodeStageVolume", "NodePublishVolume"
UNSTAGE, UNPUBLISH = "NodeUnstageVolume", "NodeUnpublishVolume"


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[CsiServer]:
    with listening(CsiServer(tmp_path / "volumes"), tmp_path / "sockets" / NAME / "csi.sock") as running:
        running.add("vol-1")
        yield running


@pytest.fixture
def flags(tmp_path: Path) -> IsolatorFlags:
    return IsolatorFlags(
        state=str(tmp_path / "host"),
        own_state=str(tmp_path / "state"),
        csi_plugin_config_dir=str(tmp_path / "config"),
        csi_sockets_dir=str(tmp_path / "sockets"),
        csi_retries=0,
    )


@pytest.fixture
def isolator(flags: IsolatorFlags) -> VolumeCsi:
    begin(flags, ONE)
    begin(flags, OTHER)
    return VolumeCsi(flags)


def begin(flags: IsolatorFlags, container: ContainerId) -> None:
    """What is there of each container from before anything is made for it until all is taken back."""
    os.makedirs(container.below(flags.own_state))


def config(asked: CsiVolume | None = None, **named: object) -> ContainerConfig:
    words = {"kind": CSI, "driver": NAME, "source": "vol-1", "target": "/data", "csi": asked, **named}
    return ContainerConfig(rootfs="/r", volumes=(Volume(**words),))  # type: ignore[arg-type]


def test_the_first_has_it_published_and_the_last_taken_back(
    isolator: VolumeCsi, plugin: CsiServer, tmp_path: Path
) -> None:
    (plugin.data / "vol-1" / "file").write_text("kept")
    (mount,) = isolator.prepare(ONE, config()).mounts
    assert (Path(mount.source) / "file").read_text() == "kept"
    assert (mount.target, mount.fstype, mount.flags) == ("/data", "rbind", ("nodev",))
    assert isolator.prepare(OTHER, config()).mounts[0].source == mount.source
    assert isolator.status(ONE) == {"csi_volumes": [{"plugin": NAME, "volume_id": "vol-1"}]}
    assert len(plugin.mounted()) == 2
    isolator.cleanup(ONE)
    assert (len(plugin.mounted()), isolator.status(ONE)) == (2, {})
    isolator.cleanup(OTHER)
    isolator.cleanup(OTHER)
    assert (plugin.staged, plugin.published) == ({}, {})
    assert (len(plugin.named(UNPUBLISH)), len(plugin.named(UNSTAGE))) == (1, 1)
    assert not (tmp_path / "host" / "csi-volumes").exists()
    assert not (tmp_path / "host" / "csi-mounts").exists()


def test_the_plugin_is_told_all_that_was_asked(
    isolator: VolumeCsi, plugin: CsiServer, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("hunter2")
    asked = CsiVolume(
        access_mode="MULTI_NODE_MULTI_WRITER",
        fs_type="ext4",
        mount_flags=("noatime", "discard"),
        volume_context={"pool": "fast"},
        publish_context={"lun": "7"},
        stage_secrets={"key": Secret(reference=SecretReference(name="key", resolver="file"))},
        publish_secrets={"token": Secret(content=secrets.encoded(b"hunter3"))},
    )
    request = config(asked)
    assert codec.decode(ContainerConfig, json.loads(json.dumps(codec.encode(request)))) == request
    patient = VolumeCsi(replace(isolator.flags, secrets_dir=str(tmp_path)))
    patient.prepare(ONE, request)
    (staged,), (published,) = plugin.named(STAGE), plugin.named(PUBLISH)
    for told in (staged, published):
        assert (told.volume_id, dict(told.volume_context)) == ("vol-1", {"pool": "fast"})
        assert (dict(told.publish_context), told.volume_capability.access_mode.mode) == ({"lun": "7"}, 5)
        mount = told.volume_capability.mount
        assert (mount.fs_type, list(mount.mount_flags)) == ("ext4", ["noatime", "discard"])
    assert (dict(staged.secrets), dict(published.secrets)) == ({"key": "hunter2"}, {"token": "hunter3"})
    assert published.staging_target_path == staged.staging_target_path
    files = [path.read_text() for path in (tmp_path / "host").rglob("record.json")]
    assert [text for text in files if "hunter" in text or "lun" in text] == []
    assert "hunter" not in repr(request)
    patient.cleanup(ONE)


def test_one_that_stages_nothing(isolator: VolumeCsi, plugin: CsiServer) -> None:
    plugin.stages = False
    isolator.prepare(ONE, config())
    assert plugin.named(PUBLISH)[0].staging_target_path == ""
    isolator.cleanup(ONE)
    assert (plugin.named(STAGE), plugin.named(UNSTAGE), plugin.mounted()) == ([], [], [])


def test_who_may_write_and_who_may_not_have_it_at_different_places(
    isolator: VolumeCsi, plugin: CsiServer
) -> None:
    (writer,) = isolator.prepare(ONE, config()).mounts
    (reader,) = isolator.prepare(OTHER, config(readonly=True)).mounts
    assert (writer.flags, reader.flags) == (("nodev",), ("ro", "nodev"))
    Path(writer.source, "file").touch()
    with pytest.raises(OSError, match="Read-only"):
        Path(reader.source, "other").touch()
    assert Path(reader.source, "file").exists()
    isolator.cleanup(ONE)
    assert len(plugin.mounted()) == 3
    isolator.cleanup(OTHER)
    assert plugin.mounted() == []


def test_a_mode_for_readers_is_read_only(isolator: VolumeCsi, plugin: CsiServer) -> None:
    (mount,) = isolator.prepare(ONE, config(CsiVolume(access_mode="MULTI_NODE_READER_ONLY"))).mounts
    assert ("ro" in mount.flags, plugin.named(PUBLISH)[0].readonly) == (True, True)
    isolator.cleanup(ONE)


def test_a_block_volume_is_a_device(isolator: VolumeCsi, plugin: CsiServer) -> None:
    info = isolator.prepare(ONE, config(CsiVolume(block=True), target="/dev/data"))
    (mount,) = info.mounts
    assert (mount.fstype, mount.flags, info.devices) == ("bind", (), ("b 7:0 rw",))
    isolator.cleanup(ONE)
    assert (plugin.published, plugin.staged) == ({}, {})


def test_a_dry_run_asks_nobody(isolator: VolumeCsi) -> None:
    (mount,) = isolator.contribute(ONE, config()).mounts
    assert mount.source == f"{NAME}:vol-1"


def test_containers_that_come_and_go_at_once(flags: IsolatorFlags, plugin: CsiServer) -> None:
    flags = replace(flags, csi_retries=30)

    def live(number: int) -> None:
        container = ContainerId(f"container-{number}")
        begin(flags, container)
        isolator = VolumeCsi(flags)
        (mount,) = isolator.prepare(container, config()).mounts
        assert mount.source in plugin.mounted()
        isolator.cleanup(container)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(16)))
    assert (plugin.staged, plugin.published) == ({}, {})


@pytest.mark.parametrize("method", [STAGE, PUBLISH])
@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ("error", "INTERNAL: storage says no to .*: 50%"),
        ("die", "UNAVAILABLE: it is being restarted"),
        ("hang", "has not answered .* in 0.5 seconds"),
    ],
)
def test_a_failure_leaves_nothing_and_it_can_be_tried_again(
    flags: IsolatorFlags, plugin: CsiServer, tmp_path: Path, method: str, behaviour: str, told: str
) -> None:
    begin(flags, ONE)
    isolator = VolumeCsi(replace(flags, csi_timeout=0.5))
    plugin.behaviour[method] = behaviour
    with pytest.raises(CsiFailed, match=told):
        isolator.prepare(ONE, config())
    isolator.cleanup(ONE)
    assert (plugin.staged, plugin.published) == ({}, {})
    assert not (tmp_path / "host" / "csi-volumes").exists()
    del plugin.behaviour[method]
    isolator.prepare(ONE, config())
    isolator.cleanup(ONE)


def test_one_that_is_busy_or_dies_is_asked_again(
    flags: IsolatorFlags, plugin: CsiServer, isolator: VolumeCsi
) -> None:
    class Once(dict[str, str]):
        def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
            return self.pop(key, default)

    plugin.behaviour = Once({PUBLISH: "die", STAGE: "die"})
    patient = VolumeCsi(replace(flags, csi_retries=30))
    patient.prepare(ONE, config())
    assert (len(plugin.named(STAGE)), len(plugin.named(PUBLISH))) == (2, 2)
    patient.cleanup(ONE)


def test_a_plugin_that_forgets_publishes_it_again(isolator: VolumeCsi, plugin: CsiServer) -> None:
    isolator.prepare(ONE, config())
    plugin.forget()
    (mount,) = isolator.prepare(OTHER, config()).mounts
    assert mount.source in plugin.mounted()
    isolator.cleanup(ONE)
    isolator.cleanup(OTHER)
    assert (plugin.staged, plugin.published) == ({}, {})


@pytest.mark.parametrize("method", [UNPUBLISH, UNSTAGE])
def test_what_cannot_be_taken_back_is_told_once_and_tried_again_later(
    isolator: VolumeCsi, plugin: CsiServer, method: str
) -> None:
    isolator.prepare(ONE, config())
    plugin.behaviour[method] = "error"
    with pytest.raises(VolumeFailed, match=method):
        isolator.cleanup(ONE)
    isolator.cleanup(ONE)
    assert isolator.recover(lambda _: False) == []
    del plugin.behaviour[method]
    assert isolator.recover(lambda _: False) == [f"volume vol-1 of {NAME}"]
    assert (plugin.staged, plugin.published) == ({}, {})


class Killed(BaseException):
    """As by SIGKILL: nothing that should have come afterwards does."""


@pytest.mark.parametrize("moment", ["stage", "publish"])
def test_who_is_killed_after_the_checkpoint_leaves_what_the_cleanup_needs(
    isolator: VolumeCsi, plugin: CsiServer, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from isolators.volume.csi_node import Node

    original = getattr(Node, moment)

    def killed(self: Node, *arguments: object, **named: object) -> None:
        original(self, *arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Node, moment, killed)
        with pytest.raises(Killed):
            isolator.prepare(ONE, config())
    assert plugin.mounted() != []
    isolator.cleanup(ONE)
    assert (plugin.staged, plugin.published) == ({}, {})


def test_what_a_container_has_left_that_is_gone_is_taken_back(
    isolator: VolumeCsi, flags: IsolatorFlags, plugin: CsiServer
) -> None:
    isolator.prepare(ONE, config())
    assert isolator.recover(lambda _: False) == []
    shutil.rmtree(ONE.below(flags.own_state))
    assert isolator.recover(lambda _: False) == [f"volume vol-1 of {NAME}"]
    assert plugin.mounted() == []


# Which plug-in ----------------------------------------------------------------------------------


def test_a_plugin_by_its_configuration(
    flags: IsolatorFlags, plugin: CsiServer, isolator: VolumeCsi, tmp_path: Path
) -> None:
    described = {
        "type": "org.example.nfs",
        "name": "nfs",
        "target_path_root": str(tmp_path / "targets"),
        "target_path_exists": True,
        "endpoints": [
            {"csi_service": "CONTROLLER_SERVICE", "endpoint": "unix:///nowhere"},
            {"csi_service": "NODE_SERVICE", "endpoint": f"unix://{tmp_path}/sockets/{NAME}/csi.sock"},
        ],
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "nfs.json").write_text(json.dumps(described))
    for name in ("nfs", "org.example.nfs"):
        (mount,) = isolator.prepare(ONE, config(driver=name)).mounts
        assert mount.source.startswith(str(tmp_path / "targets"))
        isolator.cleanup(ONE)
    assert (plugin.staged, plugin.published) == ({}, {})


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"name": "nfs", "containers": [{"services": ["NODE_SERVICE"]}]}, "has no endpoint for the service"),
        ({"name": "nfs", "endpoints": [{"endpoint": "tcp://1.2.3.4"}]}, "is no Unix socket"),
        ({}, "describes no CSI plug-in"),
        ([], "describes no CSI plug-in"),
    ],
)
def test_a_configuration_that_serves_nothing(
    isolator: VolumeCsi, tmp_path: Path, described: object, told: str
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "nfs.json").write_text(json.dumps(described))
    with pytest.raises(CsiFailed, match=told):
        isolator.prepare(ONE, config(driver="nfs"))


def test_another_than_was_asked_for(isolator: VolumeCsi, plugin: CsiServer) -> None:
    plugin.name = "another"
    with pytest.raises(CsiFailed, match="'another' listens at"):
        isolator.prepare(ONE, config())
    isolator.cleanup(ONE)


def test_one_that_is_not_ready(isolator: VolumeCsi, plugin: CsiServer) -> None:
    plugin.ready = False
    with pytest.raises(CsiFailed, match="is not ready"):
        isolator.prepare(ONE, config())
    isolator.cleanup(ONE)


def test_an_unknown_volume_is_told(isolator: VolumeCsi, plugin: CsiServer) -> None:
    with pytest.raises(CsiFailed, match="refuses NodeStageVolume: NOT_FOUND: there is no such volume"):
        isolator.prepare(ONE, config(source="vol-2"))
    isolator.cleanup(ONE)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"source": ""}, "is not named"),
        ({"driver": ""}, "is not named"),
        ({"driver": "../x"}, "invalid name of a CSI plug-in"),
        ({"driver": "missing"}, "there is no CSI plug-in missing"),
    ],
)
def test_bad_requests_are_refused(isolator: VolumeCsi, named: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        isolator.prepare(ONE, config(**named))


@pytest.mark.parametrize(
    "asked",
    [
        {"access_mode": "ANY"},
        {"block": True, "fs_type": "ext4"},
        {"mount_flags": ("x" * 4097,)},
        {"volume_context": {"x": "y" * 4096}},
    ],
)
def test_bad_words_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ContainerizerError):
        CsiVolume(**asked)  # type: ignore[arg-type]
