"""Every path of the store. No other module puts one together.

STORE/                                      0700
  lock                                      flock: shared to use, exclusive to delete
  refs/docker.io/library/busybox/:latest.json   an Image: what a name stands for
  refs/oci/srv/images/busybox/:latest.json  so for each transport: no registry has such a name
  blobs/sha256/HEX                          manifests and configurations, as fetched
  layers/sha256/HEX/                        a layer, by chain id; there is no half one
    diff/                                   its directory, in overlayfs' form
    skeleton.tar.gz                         its archive without the files' contents: layer.skeleton
    layer.json                              {"size": bytes of its files, "skipped": [sentences],
                                            "tree": digest where there is no skeleton}
  leases/web/nginx.json                     what the container web.nginx uses
  locks/sha256-HEX                          flock: held by who makes that layer
  partials/sha256-HEX                       flock: what has come of a blob whose layer is not whole yet
  ingest/RANDOM/                            flock: a pull at work; unlocked, it is a leftover
    claim.json                              what the pull will use
    0/, 1/ …                                layers in the making, as under layers/
    trash/
"""

from __future__ import annotations

import os

from launcher.data import Data
from provisioner.reference import ImageReference


class StorePaths(Data):
    """The tree below one directory."""

    root: str

    @property
    def lock(self) -> str:
        return f"{self.root}/lock"

    @property
    def refs(self) -> str:
        return f"{self.root}/refs"

    @property
    def blobs(self) -> str:
        return f"{self.root}/blobs"

    @property
    def layers(self) -> str:
        return f"{self.root}/layers"

    @property
    def leases(self) -> str:
        return f"{self.root}/leases"

    @property
    def locks(self) -> str:
        return f"{self.root}/locks"

    @property
    def partials(self) -> str:
        return f"{self.root}/partials"

    @property
    def ingest(self) -> str:
        return f"{self.root}/ingest"

    def ref(self, reference: ImageReference) -> str:
        """No component of a name starts with `:` or `@`, so a tag never meets a directory.

        A digest decides what a reference stands for, a tag beside it does not.
        """
        # A directory's name may hold what separates a tag; no registry has a transport's name.
        path = reference.repository.replace("%", "%25").replace(":", "%3A").replace("@", "%40").strip("/")
        tag = (reference.tag or "").replace("/", "%2F")
        leaf = f"@{reference.digest}" if reference.digest else f":{tag}"
        return os.path.join(self.refs, reference.registry or reference.transport, path, f"{leaf}.json")

    def blob(self, digest: str) -> str:
        return f"{self.blobs}/{digest.replace(':', '/')}"

    def layer(self, key: str) -> str:
        return f"{self.layers}/{key.replace(':', '/')}"

    def diff(self, key: str) -> str:
        """The directory that overlayfs takes as a lowerdir."""
        return f"{self.layer(key)}/diff"

    def skeleton(self, key: str) -> str:
        return f"{self.layer(key)}/skeleton.tar.gz"

    def layer_record(self, key: str) -> str:
        return f"{self.layer(key)}/layer.json"

    def layer_lock(self, key: str) -> str:
        return f"{self.locks}/{key.replace(':', '-')}"

    def partial(self, digest: str) -> str:
        return f"{self.partials}/{digest.replace(':', '-')}"

    def lease(self, container: str) -> str:
        """Nested ids become directories: a whole one may be longer than a file's name."""
        return f"{self.leases}/{container.replace('.', '/')}.json"
