"""ImageService: pulls, lists and removes images, by the store that all containers have theirs from."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator

from containerizer.agent.images import Images
from containerizer.cri import image_names
from containerizer.cri.image_names import NamedImage
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import images_pb2 as messages
from launcher.errors import InvalidRequest
from provisioner.errors import ImageNotFound
from provisioner.reference import DEFAULT_REGISTRY, ImageReference
from provisioner.registry.options import Credentials

_HUB = ("index.docker.io", "registry-1.docker.io")  # what docker.io is called elsewhere


class ImageCalls:
    """Those calls."""

    def __init__(self, images: Images, root: str) -> None:
        """`root`: the directory of images and sandboxes."""
        self._images = images
        self._root = root
        self._inodes: dict[str, int] = {}  # of each layer: none changes

    async def list_images(self, request: messages.ListImagesRequest) -> messages.ListImagesResponse:
        wanted = request.filter.image.image
        known = await self.known()
        if wanted:
            found = image_names.find(known, wanted)
            known = [] if found is None else [found]
        return messages.ListImagesResponse(images=map(image_names.message, known))

    async def stream_images(
        self, request: messages.StreamImagesRequest
    ) -> AsyncIterator[messages.StreamImagesResponse]:
        asked = messages.ListImagesRequest(filter=request.filter)
        yield messages.StreamImagesResponse(images=(await self.list_images(asked)).images)

    async def image_status(self, request: messages.ImageStatusRequest) -> messages.ImageStatusResponse:
        """An image that is missing is no error, but an answer without one."""
        found = await self.find(_name(request.image))
        if found is None:
            return messages.ImageStatusResponse()
        answer = messages.ImageStatusResponse(image=image_names.message(found))
        if request.verbose:
            answer.info["info"] = json.dumps(
                {"config": dict(found.any.config), "platform": found.any.platform, "layers": found.any.layers}
            )
        return answer

    async def pull_image(self, request: messages.PullImageRequest) -> messages.PullImageResponse:
        name = _name(request.image)
        credentials = _credentials(request.auth, name) if request.HasField("auth") else None
        image = await self._images.pull(name, credentials=credentials)
        return messages.PullImageResponse(image_ref=image.config_digest)

    async def remove_image(self, request: messages.RemoveImageRequest) -> messages.RemoveImageResponse:
        """By its id with all of its names; one that is not there is removed already."""
        name = _name(request.image)
        found = await self.find(name)
        if found is not None:
            references = [image.reference for image in found.images]
            if not found.id.endswith(name.removeprefix("sha256:")):
                whole = str(ImageReference.parse(name))
                references = [whole] if whole in references else references
            for reference in references:
                with contextlib.suppress(ImageNotFound):
                    await self._images.remove(reference)
        return messages.RemoveImageResponse()

    async def image_fs_info(self, request: messages.ImageFsInfoRequest) -> messages.ImageFsInfoResponse:
        return await self._images.run(self._filesystems)

    # For others --------------------------------------------------------------------------------

    async def known(self) -> list[NamedImage]:
        """All that are in the store."""
        provisioner = self._images.provisioner
        return await self._images.run(lambda: image_names.by_id(provisioner.images(), provisioner.digest))

    async def find(self, name: str) -> NamedImage | None:
        """By an id, a tag or a digest."""
        return image_names.find(await self.known(), name)

    # How ---------------------------------------------------------------------------------------

    def _filesystems(self) -> messages.ImageFsInfoResponse:
        """Both are the root directory's; a layer of several images counts once."""
        used = inodes = 0
        for key, size, directory in self._images.provisioner.layers():
            if key not in self._inodes:
                self._inodes[key] = sum(1 + len(files) for _, _, files in os.walk(directory))
            used += size
            inodes += self._inodes[key]
        now, place = time.time_ns(), common.FilesystemIdentifier(mountpoint=self._root)
        answer = messages.ImageFsInfoResponse()
        answer.image_filesystems.add(
            timestamp=now,
            fs_id=place,
            used_bytes=common.UInt64Value(value=used),
            inodes_used=common.UInt64Value(value=inodes),
        )
        answer.container_filesystems.add(timestamp=now, fs_id=place)
        return answer


def _name(image: common.ImageSpec) -> str:
    if not image.image:
        raise InvalidRequest("no image is named")
    return image.image


def _credentials(auth: messages.AuthConfig, name: str) -> Credentials | None:
    """None where they are of another registry. Raises InvalidRequest."""
    server = auth.server_address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    server = DEFAULT_REGISTRY if server in _HUB else server
    if server and server != ImageReference.parse(name).registry:
        return None
    username, password = auth.username, auth.password
    if auth.auth and not username:
        try:
            decoded = base64.b64decode(auth.auth, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidRequest("auth is no base64 of a user's name and password") from None
        username, _, password = decoded.rstrip("\0").partition(":")
    if not (username or auth.identity_token or auth.registry_token):
        return None
    return Credentials(
        username=username,
        password=password,
        identity_token=auth.identity_token,
        registry_token=auth.registry_token,
    )
