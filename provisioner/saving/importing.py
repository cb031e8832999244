"""Import: the files of a tar archive become an image of one layer, as `docker import` has it.

The image goes through a pull like any other; the archive, compressed or not, is as hostile as a layer is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time

from provisioner.errors import InvalidImage, InvalidLayer
from provisioner.image import Image
from provisioner.layer.limits import Limits
from provisioner.platforms import Platform
from provisioner.progress import silent
from provisioner.pull import pull
from provisioner.resolve import resolve
from provisioner.saving import instructions
from provisioner.saving.commit import Changes, new_reference
from provisioner.sources.spool import Descriptor, Section, spool
from provisioner.sources.synthetic import LayerBlob, SyntheticImage
from provisioner.store.ingest import Ingest
from provisioner.store.store import Store


def import_archive(
    store: Store, archive: int, what: str, name: str, changes: Changes, platform: Platform, limits: Limits
) -> Image:
    """An image of the archive that is read from this descriptor, `what` it is in messages.

    Raises InvalidReference, InvalidRequest (changes), InvalidImage, StoreError, OSError.
    """
    reference = new_reference(name)
    own = instructions.apply({}, changes.instructions)
    hashed = hashlib.sha256()
    with Ingest(store.paths) as ingest, contextlib.ExitStack() as stack:
        fd = spool(Descriptor(archive), ingest.path, what, hashed.update)
        stack.callback(os.close, fd)
        digest, size = f"sha256:{hashed.hexdigest()}", os.fstat(fd).st_size
        layer = LayerBlob(digest=digest, size=size, stream=lambda: Section(fd, 0, size))
        source = SyntheticImage(_config(own, digest, what, changes, platform), [layer])
        resolved = resolve(source, reference, platform)
        try:
            return pull(store, source, reference, resolved, limits=limits, progress=silent)
        except InvalidLayer as error:
            raise InvalidImage(
                f"{what}: {error.message}", hint="it has to be a tar archive of files"
            ) from error


def _config(own: instructions.Config, digest: str, what: str, changes: Changes, platform: Platform) -> bytes:
    """image-spec config.md."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    value = {
        "created": now,
        "os": platform.os,
        "architecture": platform.architecture,
        **({"variant": platform.variant} if platform.variant else {}),
        "config": own,
        "rootfs": {"type": "layers", "diff_ids": [digest]},
        "history": [{"created": now, "comment": changes.message or f"imported from {what}"}],
    }
    return json.dumps(value, separators=(",", ":")).encode()
