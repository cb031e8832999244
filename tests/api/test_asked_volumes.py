"""Volumes of the API, in the words of isolators.volumes."""

from __future__ import annotations

import pytest

from isolators.volumes import BIND, IMAGE, NAMED, SANDBOX, Volume
from tests.api.test_launching import DOCKER, config, host_volume, mesos, requested, sandbox_volume


def test_volumes() -> None:
    old = {"mode": "RW", "container_path": "/usr/", "host_path": "/etc"}
    asked = requested("a.b", container=mesos(volumes=[host_volume("/etc"), old]))
    assert asked.config.volumes == (
        Volume(kind=BIND, target="/tmp", source="/etc", readonly=True),
        Volume(kind=BIND, target="/usr", source="/etc"),
    )
    shared = requested("a.b", container=mesos(volumes=[sandbox_volume("v", "PARENT")]))
    assert shared.config.volumes == (Volume(kind=SANDBOX, target="/tmp", source="v", of_parent=True),)


@pytest.mark.parametrize(
    ("mode", "propagation"), [("HOST_TO_CONTAINER", "rslave"), ("BIDIRECTIONAL", "rshared")]
)
def test_propagation_of_volumes(mode: str, propagation: str) -> None:
    host_path = {"path": "/etc", "mount_propagation": {"mode": mode}}
    volume = {**host_volume("/etc"), "source": {"type": "HOST_PATH", "host_path": host_path}}
    (asked,) = config(container=mesos(volumes=[volume])).volumes
    assert (asked.source, asked.propagation) == ("/etc", propagation)


def test_volumes_of_images_and_drivers() -> None:
    image = {"mode": "RO", "container_path": "/i", "image": {**DOCKER, "cached": False}}
    named = {"name": "n", "driver": "d", "driver_options": {"parameter": [{"key": "a", "value": "b"}]}}
    driven = {
        "mode": "RW",
        "container_path": "/n",
        "source": {"type": "DOCKER_VOLUME", "docker_volume": named},
    }
    first, second = config(container=mesos(volumes=[image, driven])).volumes
    assert (first.kind, first.pull, first.readonly) == (IMAGE, "always", True)
    assert second == Volume(kind=NAMED, target="/n", source="n", driver="d", options=(("a", "b"),))
