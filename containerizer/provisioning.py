"""What a launch takes from the provisioner: the image that it runs on, and those that are volumes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from containerizer.paths import Paths
from containerizer.request import HOST, ContainerRequest, with_image
from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig
from launcher.container_id import ContainerId
from launcher.data import replace

if TYPE_CHECKING:
    from containerizer.container import Container
    from containerizer.containerizer import Containerizer
    from isolators.volumes import Volume
    from provisioner.image import Image
    from provisioner.progress import Progress
    from provisioner.provisioner import Policy


def provision(
    owner: Containerizer, container: Container, request: ContainerRequest, progress: Progress | None
) -> None:
    """Have the container's root filesystem, and keep the layers of its volumes. Raises ContainerizerError."""
    if request.image != HOST:
        image = owner.provisioner.present(request.image, policy=request.pull, platform=request.platform)
        if image is None:
            container.save()  # for now it is not brief
            image = pull(owner, request, progress)
        container.image = image
        rootfs = owner.provisioner.provision(image, str(container.id), container.config.sandbox)
        container.config = with_image(container.config, image, rootfs)
    if request.config.volumes and (images := _of_volumes(owner, request, progress, container.save)):
        owner.provisioner.keep(str(container.id), container.image, list(images.values()))
        container.config = _with_layers(owner, container.config, images)


def pull(owner: Containerizer, request: ContainerRequest, progress: Progress | None) -> Image:
    """Raises ProvisionerError."""
    return owner.provisioner.pull(
        request.image, policy=request.pull, platform=request.platform, progress=progress
    )


def described(
    owner: Containerizer, request: ContainerRequest, image: Image | None, progress: Progress | None = None
) -> ContainerConfig:
    """The configuration of a container of which nothing is there."""
    config = replace(request.config, sandbox=owner.paths.sandbox(request.container_id))
    if image is not None:
        config = with_image(config, image, owner.provisioner.describe(image, config.sandbox))
    if config.volumes and (images := _of_volumes(owner, request, progress)):
        config = _with_layers(owner, config, images)
    return config


def note_volumes(paths: Paths, container_id: ContainerId, request: ContainerRequest) -> None:
    """Before they are made."""
    from containerizer.volumes import kept  # what most never have

    kept.note(paths, container_id, request.config.volumes)


def remove_volumes(paths: Paths, flags: IsolatorFlags, container_id: ContainerId) -> None:
    """Those that were made for the container, and have no name of their own."""
    if os.path.exists(paths.volumes_of(container_id)):
        from containerizer.volumes import kept

        kept.remove_own(paths, flags, container_id)


def _of_volumes(
    owner: Containerizer,
    request: ContainerRequest,
    progress: Progress | None,
    before_pull: Callable[[], object] = lambda: None,
) -> dict[str, Image]:
    """By their names; `before_pull` is called before what may take its time."""
    found = {}
    for volume in _images(request):
        policy = cast("Policy", volume.pull)
        image = owner.provisioner.present(volume.source, policy=policy)
        if image is None:
            before_pull()
            image = owner.provisioner.pull(volume.source, policy=policy, progress=progress)
        found[volume.source] = image
    return found


def _images(request: ContainerRequest) -> Iterator[Volume]:
    from isolators.volumes import IMAGE

    return (volume for volume in request.config.volumes if volume.kind == IMAGE)


def _with_layers(owner: Containerizer, config: ContainerConfig, images: dict[str, Image]) -> ContainerConfig:
    layers = {name: tuple(owner.provisioner.layers_of(image)) for name, image in images.items()}
    return replace(config, image_layers=layers)
