"""docker/volume: one mount for all containers that have a volume, from the first to the last."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isolators.docker.volume import DockerVolume
from isolators.driver_volumes import VolumeFailed
from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig
from isolators.mounted_volumes import MountedVolumes, VolumeBusy
from isolators.volumes import NAMED, Volume
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.launch_info import Mount
from tests.support.volume_plugin import VolumePlugin, listening

pytestmark = pytest.mark.requires("root")

ONE, OTHER = ContainerId("one"), ContainerId("other")
MOUNT, UNMOUNT = "VolumeDriver.Mount", "VolumeDriver.Unmount"


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[VolumePlugin]:
    with listening(VolumePlugin(tmp_path / "volumes"), socket(tmp_path)) as running:
        yield running


def socket(tmp_path: Path) -> Path:
    return tmp_path / "run" / "storage.sock"


@pytest.fixture
def flags(tmp_path: Path) -> IsolatorFlags:
    return IsolatorFlags(
        state=str(tmp_path / "host"),
        own_state=str(tmp_path / "state"),
        volumes=str(tmp_path / "named"),
        docker_plugins_dirs=(str(tmp_path / "run"),),
        docker_volume_retries=0,
    )


@pytest.fixture
def isolator(flags: IsolatorFlags) -> DockerVolume:
    begin(flags, ONE)
    begin(flags, OTHER)
    return DockerVolume(flags)


def begin(flags: IsolatorFlags, container: ContainerId) -> None:
    """What is there of each container from before anything is made for it until all is taken back."""
    os.makedirs(container.below(flags.own_state))


def config(**asked: object) -> ContainerConfig:
    named = {"kind": NAMED, "driver": "storage", "source": "data", "target": "/data", **asked}
    return ContainerConfig(rootfs="/r", volumes=(Volume(**named),))  # type: ignore[arg-type]


def test_the_first_has_it_mounted_and_the_last_unmounted(
    isolator: DockerVolume, plugin: VolumePlugin, tmp_path: Path
) -> None:
    (mount,) = isolator.prepare(ONE, config(options=(("size", "1G"),), readonly=True)).mounts
    where = str(plugin.mounts / "data")
    assert mount == Mount(target="/data", fstype="rbind", source=where, flags=("ro", "nodev"), populate=True)
    assert plugin.volumes == {"data": {"size": "1G"}}
    assert isolator.prepare(OTHER, config()).mounts[0].source == where
    (told,) = isolator.status(ONE)["docker_volumes"]
    assert told == {"driver": "storage", "name": "data", "mountpoint": where}
    isolator.cleanup(ONE)
    assert (plugin.is_mounted("data"), isolator.status(ONE)) == (True, {})
    isolator.cleanup(OTHER)
    isolator.cleanup(OTHER)
    assert (len(plugin.named(MOUNT)), len(plugin.named(UNMOUNT))) == (1, 1)
    assert plugin.named(MOUNT)[0]["ID"] == plugin.named(UNMOUNT)[0]["ID"]
    assert not plugin.is_mounted("data")
    assert not (tmp_path / "host" / "docker-volumes").exists()


def test_a_dry_run_asks_nobody(isolator: DockerVolume) -> None:
    (mount,) = isolator.contribute(ONE, config()).mounts
    assert mount.source == "storage:data"


def test_a_volume_may_be_at_two_places(isolator: DockerVolume, plugin: VolumePlugin) -> None:
    twice = (*config().volumes, *config(target="/part", subpath="a/b").volumes)
    mounts = isolator.prepare(ONE, replace(config(), volumes=twice)).mounts
    assert [(mount.target, mount.part) for mount in mounts] == [("/data", ""), ("/part", "a/b")]
    isolator.cleanup(ONE)
    assert (len(plugin.named(MOUNT)), plugin.is_mounted("data")) == (1, False)


def test_containers_that_come_and_go_at_once_are_served_one_after_the_other(
    flags: IsolatorFlags, plugin: VolumePlugin
) -> None:
    """Whoever has it finds it mounted, and what the plug-in is asked alternates.

    More may ask than wait at its socket, listen(2): they ask again.
    """
    flags = replace(flags, docker_volume_retries=30)

    def live(number: int) -> None:
        container = ContainerId(f"container-{number}")
        begin(flags, container)
        isolator = DockerVolume(flags)
        isolator.prepare(container, config())
        assert plugin.is_mounted("data")
        isolator.cleanup(container)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(40)))
    order = [name for name, _ in plugin.calls if name in (MOUNT, UNMOUNT)]
    assert set(order[::2]) == {MOUNT}
    assert set(order[1::2]) == {UNMOUNT}
    assert (len(order) % 2, plugin.is_mounted("data")) == (0, False)


@pytest.mark.parametrize("behaviour", ["error", "die", "junk", "hang"])
def test_a_failed_mount_leaves_nothing_and_can_be_tried_again(
    flags: IsolatorFlags, plugin: VolumePlugin, tmp_path: Path, behaviour: str
) -> None:
    begin(flags, ONE)
    isolator = DockerVolume(replace(flags, docker_volume_timeout=0.5))
    plugin.behaviour[MOUNT] = behaviour
    with pytest.raises(ContainerizerError, match=r"storage.*VolumeDriver\.Mount"):
        isolator.prepare(ONE, config())
    isolator.cleanup(ONE)
    assert not (tmp_path / "host" / "docker-volumes").exists()
    assert not plugin.is_mounted("data"), "what it did before it died is taken back"
    del plugin.behaviour[MOUNT]
    isolator.prepare(ONE, config())
    assert plugin.is_mounted("data")
    isolator.cleanup(ONE)


def test_a_path_where_nothing_is_is_refused(isolator: DockerVolume, plugin: VolumePlugin) -> None:
    isolator.prepare(ONE, config())
    isolator.cleanup(ONE)
    shutil.rmtree(plugin.mounts / "data")
    plugin.users["data"] = {"somebody else"}
    with pytest.raises(VolumeFailed, match="where no directory is"):
        isolator.prepare(ONE, config())
    isolator.cleanup(ONE)
    plugin.users.clear()


@pytest.mark.parametrize("where", ["/", "/..", "{tmp_path}", "{tmp_path}/link"])
def test_what_is_around_our_own_files_is_no_volume(
    isolator: DockerVolume, plugin: VolumePlugin, tmp_path: Path, where: str
) -> None:
    """A task would have them, and with the option U they would be its user's."""
    (tmp_path / "link").symlink_to("/")
    plugin.answer = lambda *_: {"Implements": ["VolumeDriver"], "Mountpoint": where.format(tmp_path=tmp_path)}  # type: ignore[method-assign]
    with pytest.raises(VolumeFailed, match="around the containerizer's own files"):
        isolator.prepare(ONE, config())
    isolator.cleanup(ONE)


def test_a_plugin_that_forgets_is_asked_again(isolator: DockerVolume, plugin: VolumePlugin) -> None:
    isolator.prepare(ONE, config())
    plugin.forget()
    assert not plugin.is_mounted("data")
    isolator.prepare(OTHER, config())
    assert (plugin.is_mounted("data"), len(plugin.named(MOUNT))) == (True, 2)
    isolator.cleanup(ONE)
    assert plugin.is_mounted("data")
    isolator.cleanup(OTHER)
    assert not plugin.is_mounted("data")


@pytest.mark.parametrize("behaviour", ["error", "hang"])
def test_a_failed_unmount_is_told_once_and_tried_again_later(
    flags: IsolatorFlags, plugin: VolumePlugin, behaviour: str
) -> None:
    """A container is not held up for ever by a plug-in that is gone."""
    begin(flags, ONE)
    isolator = DockerVolume(replace(flags, docker_volume_timeout=0.5))
    isolator.prepare(ONE, config())
    plugin.behaviour[UNMOUNT] = behaviour
    with pytest.raises(VolumeFailed, match=r"VolumeDriver\.Unmount"):
        isolator.cleanup(ONE)
    isolator.cleanup(ONE)
    assert isolator.recover(lambda _: False) == []
    del plugin.behaviour[UNMOUNT]
    assert isolator.recover(lambda _: False) == ["volume data of storage"]
    assert not plugin.is_mounted("data")


def test_after_a_failed_unmount_another_may_have_it(isolator: DockerVolume, plugin: VolumePlugin) -> None:
    isolator.prepare(ONE, config())
    plugin.behaviour[UNMOUNT] = "error"
    with pytest.raises(VolumeFailed):
        isolator.cleanup(ONE)
    del plugin.behaviour[UNMOUNT]
    isolator.prepare(OTHER, config())
    isolator.cleanup(OTHER)
    assert not plugin.is_mounted("data")


class Killed(BaseException):
    """As by SIGKILL: nothing that should have come afterwards does."""


@pytest.mark.parametrize("moment", ["ensure", "mount"])
def test_who_is_killed_after_the_checkpoint_leaves_what_the_cleanup_needs(
    isolator: DockerVolume, plugin: VolumePlugin, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before the plug-in is asked, and before it has answered."""
    from isolators.docker.volume_driver import VolumeDriver

    original = getattr(VolumeDriver, moment)

    def killed(self: VolumeDriver, *arguments: object) -> None:
        if moment == "mount":
            original(self, *arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(VolumeDriver, moment, killed)
        with pytest.raises(Killed):
            isolator.prepare(ONE, config())
    assert plugin.is_mounted("data") == (moment == "mount")
    isolator.cleanup(ONE)
    assert (plugin.is_mounted("data"), plugin.users.get("data", set())) == (False, set())


def test_what_a_container_has_left_that_is_gone_is_unmounted(
    isolator: DockerVolume, flags: IsolatorFlags, plugin: VolumePlugin
) -> None:
    isolator.prepare(ONE, config())
    isolator.prepare(OTHER, config())
    shutil.rmtree(ONE.below(flags.own_state))
    assert isolator.recover(lambda _: False) == []
    shutil.rmtree(OTHER.below(flags.own_state))
    assert isolator.recover(lambda _: False) == ["volume data of storage"]
    assert not plugin.is_mounted("data")


def test_what_is_gone_with_its_plugin_is_forgotten(flags: IsolatorFlags, tmp_path: Path) -> None:
    begin(flags, ONE)
    isolator = DockerVolume(flags)
    with listening(VolumePlugin(tmp_path / "volumes"), socket(tmp_path)):
        isolator.prepare(ONE, config())
    with pytest.raises(VolumeFailed, match="there is no plug-in storage"):
        isolator.cleanup(ONE)
    assert isolator.recover(lambda _: False) == ["volume data of storage"]
    assert not (tmp_path / "host" / "docker-volumes").exists()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_torn_record_is_borne(
    isolator: DockerVolume, plugin: VolumePlugin, tmp_path: Path, text: str
) -> None:
    isolator.prepare(ONE, config())
    (record,) = (tmp_path / "host" / "docker-volumes").rglob("record.json")
    record.write_text(text)
    isolator.prepare(OTHER, config())
    isolator.cleanup(ONE)
    isolator.cleanup(OTHER)
    assert not plugin.is_mounted("data")


def test_nobody_waits_for_ever_for_another(tmp_path: Path) -> None:
    known = MountedVolumes(str(tmp_path / "known"))
    busy = pytest.raises(VolumeBusy, match="it is being mounted")
    with known.locked("key", 0, "it"), busy, known.locked("key", 0.05, "it"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_launch_that_hangs_holds_up_no_other_volume(
    flags: IsolatorFlags, plugin: VolumePlugin, isolator: DockerVolume
) -> None:
    isolator.prepare(OTHER, config(source="other"))
    plugin.behaviour[MOUNT] = "hang"
    patient = DockerVolume(replace(flags, docker_volume_timeout=2))

    def hang() -> None:
        with pytest.raises(ContainerizerError, match="has not answered"):
            patient.prepare(ONE, config())

    thread = threading.Thread(target=hang)
    thread.start()
    plugin.hanging.wait()
    isolator.cleanup(OTHER)
    assert thread.is_alive()
    thread.join()
    isolator.cleanup(ONE)


@pytest.mark.parametrize("source", ["", "/path"])
def test_bad_names_are_refused(isolator: DockerVolume, plugin: VolumePlugin, source: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid name of a volume"):
        isolator.prepare(ONE, config(source=source))
    assert plugin.calls == []
