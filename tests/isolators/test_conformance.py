"""What every isolator owes, whatever it isolates."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from isolators import catalog
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, IsolatorUnavailable
from isolators.resources import ProcessAttributes, Resources
from launcher.container_id import ContainerId
from launcher.data import fields
from launcher.launch_info import LaunchInfo
from launcher.merge import merge
from tests.isolators.support import WEB, task

DOCS = Path(__file__).parents[2] / "docs" / "isolators"

IMAGE_CONFIG = {"Env": ["A=1"], "Cmd": ["sh"], "Volumes": {"/data": {}}, "StopSignal": "SIGINT"}


@pytest.fixture
def flags(tmp_path: Path) -> IsolatorFlags:
    return IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}", own_state=str(tmp_path / "own"))


@pytest.fixture
def config(tmp_path: Path) -> ContainerConfig:
    return ContainerConfig(
        rootfs=str(tmp_path / "rootfs"),
        sandbox=str(tmp_path / "sandbox"),
        image_config=IMAGE_CONFIG,
        resources=Resources(cpus=0.5, cpu_shares=512, memory=64 << 20, pids=20),
    )


@pytest.fixture(params=catalog.TABLE)
def isolator(request: pytest.FixtureRequest, flags: IsolatorFlags) -> Isolator:
    requires = catalog.describe([request.param])[0].requires
    loaded = load([request.param, *requires], flags)
    return next(isolator for isolator in loaded if isolator.name == request.param)


def load(names: Sequence[str], flags: IsolatorFlags) -> list[Isolator]:
    try:
        return catalog.load(names, flags)
    except IsolatorUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def prepared(isolator: Isolator, config: ContainerConfig) -> Iterator[Isolator]:
    os.makedirs(config.sandbox)
    isolator.prepare(WEB, config)
    yield isolator
    isolator.cleanup(WEB)


@pytest.mark.parametrize("name", catalog.TABLE)
def test_name_is_path_of_file_and_of_page(name: str) -> None:
    isolator_class = catalog.describe([name])[0]
    assert isolator_class.name == name
    assert catalog.TABLE[name].startswith(f"isolators.{name.replace('/', '.')}:")
    page = (DOCS / f"{name.replace('/', '-')}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert len(page.splitlines()) < 30


def test_every_page_has_an_isolator() -> None:
    names = {name.replace("/", "-") for name in (*catalog.TABLE, *catalog.ALIASES)}
    assert {page.stem for page in DOCS.glob("*.md")} == names


def test_contribute_is_deterministic_and_touches_nothing(
    isolator: Isolator, config: ContainerConfig, tmp_path: Path
) -> None:
    assert isolator.contribute(WEB, config) == isolator.contribute(WEB, config)
    assert list(tmp_path.iterdir()) == []


def test_launch_info_survives_json(isolator: Isolator, config: ContainerConfig) -> None:
    info = isolator.contribute(WEB, config)
    assert LaunchInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_an_unknown_container_has_reached_no_limit(isolator: Isolator) -> None:
    assert isolator.limitation(ContainerId("unknown")) is None
    assert list(isolator.reached(ContainerId("unknown"))) == []


def test_cleanup_of_unknown_container_does_nothing(isolator: Isolator) -> None:
    isolator.cleanup(ContainerId("unknown"))
    isolator.cleanup(ContainerId("nested", ContainerId("unknown")))


@pytest.mark.requires("root")
def test_prepare_returns_what_contribute_does(isolator: Isolator, config: ContainerConfig) -> None:
    os.makedirs(config.sandbox)
    try:
        assert isolator.prepare(WEB, config) == isolator.contribute(WEB, config)
        assert isolator.prepare(WEB, config) == isolator.contribute(WEB, config)
    finally:
        isolator.cleanup(WEB)
        isolator.cleanup(WEB)


@pytest.mark.requires("root")
def test_steps_of_a_running_container(prepared: Isolator, config: ContainerConfig) -> None:
    with task("") as process:
        prepared.isolate(WEB, process.pid)
        prepared.isolate(WEB, process.pid)
        json.dumps(dict(prepared.status(WEB)))
        prepared.usage(WEB)
        prepared.check(config.resources)
        prepared.update(WEB, config.resources)
        watch = prepared.watch(WEB)
        if watch:
            assert watch.check() is None
            watch.close()
            watch.close()


@pytest.mark.parametrize("image", [IMAGE_CONFIG, None])
def test_defaults_merge_without_conflict(
    flags: IsolatorFlags, config: ContainerConfig, image: dict[str, object] | None
) -> None:
    if image is None:
        config = ContainerConfig(command=("sh",), sandbox=config.sandbox)
    isolators = load(catalog.DEFAULT, flags)
    merged = merge((isolator.name, isolator.contribute(WEB, config)) for isolator in isolators)
    assert set(merged.info.namespaces) == {"mnt", "pid", "ipc", "uts", "cgroup", "net"}
    assert merged.info.argv == ("sh",)
    targets = [mount.target for mount in merged.info.mounts]
    assert targets.count("/proc") == 1


def test_without_rootfs_no_file_of_the_host_is_touched(flags: IsolatorFlags) -> None:
    config = ContainerConfig(command=("sh",), sandbox="/sandbox")
    isolators = load(catalog.DEFAULT, flags)
    info = merge((isolator.name, isolator.contribute(WEB, config)) for isolator in isolators).info
    assert info.rootfs is None
    assert info.file_operations == ()
    assert info.masked_paths == ()


def test_each_resource_has_one_isolator_that_a_request_for_it_loads() -> None:
    enforced = [
        (resource, described.name)
        for described in catalog.describe()
        for resource in described.enforces
        if described.name in catalog.DEFAULT or described.name in catalog.ON_DEMAND.values()
    ]
    of_defaults = [resource for resource, name in enforced if name in catalog.DEFAULT]
    on_demand = {resource: name for resource, name in enforced if name not in catalog.DEFAULT}
    assert on_demand == catalog.ON_DEMAND
    asked = [field.name for kind in (Resources, ProcessAttributes) for field in fields(kind)]
    assert sorted(set(asked) - set(on_demand)) == sorted(of_defaults)


def test_what_is_asked_for_is_loaded_on_demand() -> None:
    assert catalog.default_for(ContainerConfig()) == catalog.defaults()
    asked = ContainerConfig(userns="auto", namespaces={"user": "new", "time": "new", "net": "new"})
    assert catalog.default_for(asked) == (*catalog.defaults(), "namespaces/user", "namespaces/time")
