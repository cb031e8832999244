"""Registries: what one process knows of registries from one pull to the next.

Settings, which scheme a host speaks, tokens: with them the second pull of an image is one request.
Connections are not kept: each pull has its own, and hangs up alone.
"""

from __future__ import annotations

import threading

from provisioner.reference import ImageReference
from provisioner.registry import credentials
from provisioner.registry.endpoint import Endpoint
from provisioner.registry.options import Credentials, RegistryOptions
from provisioner.registry.scheme import base_url
from provisioner.registry.settings import Settings
from provisioner.registry.tokens import Authorizer


class Registries:
    """Safe to use from several threads. Files of the host are read by the first who asks."""

    def __init__(self, options: RegistryOptions | None = None) -> None:
        self._options = options or RegistryOptions()
        self._lock = threading.RLock()
        self._settings: Settings | None = None
        self._bases: dict[Endpoint, str] = {}
        self._authorizers: dict[Endpoint, Authorizer] = {}

    @property
    def settings(self) -> Settings:
        """Raises RegistryConfigurationError."""
        with self._lock:
            if self._settings is None:
                self._settings = Settings(self._options)
            return self._settings

    @property
    def appc_prefix(self) -> str | None:
        """Where `appc:` images are, if the caller says so."""
        return self._options.appc_prefix

    def endpoints(self, reference: ImageReference) -> tuple[Endpoint, ...]:
        """Raises ImageBlocked, RegistryConfigurationError."""
        return self.settings.endpoints(reference)

    def base(self, endpoint: Endpoint) -> str:
        """`https://HOST[:PORT]`, found out once. Raises RegistryUnreachable."""
        with self._lock:
            if endpoint not in self._bases:
                self._bases[endpoint] = base_url(endpoint)
            return self._bases[endpoint]

    def authorizer(self, endpoint: Endpoint, name: ImageReference) -> Authorizer:
        """Who asks the endpoint for the image of that name."""
        with self._lock:
            if endpoint not in self._authorizers:
                self._authorizers[endpoint] = Authorizer(
                    endpoint.registry, endpoint.repository, lambda: self._credentials(endpoint, name)
                )
            return self._authorizers[endpoint]

    def _credentials(self, endpoint: Endpoint, name: ImageReference) -> Credentials | None:
        given = self._options.credentials
        # Given for the registry that the user has named, and for no mirror of it.
        if given is not None and endpoint.registry == name.registry:
            return given
        helpers = self.settings.credential_helpers
        return credentials.find(endpoint.registry, endpoint.repository, self._options.authfile, helpers)
