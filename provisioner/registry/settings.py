"""Settings: from an image's name to the endpoints that may have it, by the host's files.

registries.conf says which registries and mirrors; for each of those certs.d says at which URLs,
with which certificates. Directories of certs.d: the one that was named, or $CONTAINERIZER_CERTS_DIR,
or all of _CERTS_DIRS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from launcher.data import replace
from provisioner.reference import ImageReference
from provisioner.registry.endpoint import Endpoint, Trust, address_of, is_loopback
from provisioner.registry.hosts_toml import certificates, endpoints, hosts_file
from provisioner.registry.options import RegistryOptions
from provisioner.registry.registries_conf import Location, RegistriesConf

ENVIRONMENT = "CONTAINERIZER_CERTS_DIR"
_CERTS_DIRS = (
    "~/.config/containers/certs.d",
    "/etc/containers/certs.d",
    "/etc/containerd/certs.d",
    "/etc/docker/certs.d",
)


class Settings:
    """The host's files as they are when it is made. Raises RegistryConfigurationError."""

    def __init__(self, options: RegistryOptions) -> None:
        self._insecure = options.insecure
        self._conf = RegistriesConf.load(options.registries_conf)
        named = options.certs_dir or os.environ.get(ENVIRONMENT)
        self._certs_dirs = (named,) if named else tuple(map(os.path.expanduser, _CERTS_DIRS))

    def check_short_name(self, text: str) -> None:
        """Raises InvalidReference for a name without a registry, if several are configured."""
        self._conf.short_names.check(text)

    @property
    def credential_helpers(self) -> tuple[str, ...]:
        """Who is asked for credentials, in order; see registries_conf.AUTH_FILES."""
        return self._conf.credential_helpers

    def endpoints(self, reference: ImageReference) -> tuple[Endpoint, ...]:
        """In the order in which to try them. Raises ImageBlocked, RegistryConfigurationError."""
        found = (e for location in self._conf.locations(reference) for e in self._at(location))
        return tuple(dict.fromkeys(found))  # two mirrors may share their last resort

    def of_registry(self, registry: str) -> Endpoint:
        """The registry itself, for `login`."""
        *_, own = self._at(Location(registry=registry, repository=""))
        return own

    def _at(self, location: Location) -> Iterator[Endpoint]:
        insecure = location.insecure or location.registry in self._insecure
        own = Endpoint(
            registry=location.registry,
            address=address_of(location.registry),
            repository=location.repository,
            tag=location.tag,
            scheme="either" if insecure or is_loopback(location.registry) else "https",
            trust=Trust(verify=not insecure),
        )
        file = hosts_file(self._certs_dirs, location.registry)
        for endpoint in endpoints(file, own) if file else (own,):
            yield self._with_certificates(endpoint)

    def _with_certificates(self, endpoint: Endpoint) -> Endpoint:
        names = dict.fromkeys((endpoint.registry, endpoint.address))
        more = [certificates(self._certs_dirs, name) for name in names]
        if not any(trust.authorities or trust.clients for trust in more):
            return endpoint
        trust = endpoint.trust
        return replace(
            endpoint,
            trust=Trust(
                verify=trust.verify,
                authorities=sum((t.authorities for t in more), trust.authorities),
                clients=sum((t.clients for t in more), trust.clients),
            ),
        )
