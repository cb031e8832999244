"""TLS contexts: the host's authorities, those of a registry's settings, and client certificates."""

from __future__ import annotations

import os
import ssl

from provisioner.errors import RegistryConfigurationError
from provisioner.registry.endpoint import Trust


def context(trust: Trust, *, own: bool) -> ssl.SSLContext:
    """For connections to the registry, its `own`, or to where it redirects.

    The latter may have a certificate of the registry's authority, but never sees ours.
    Raises RegistryConfigurationError for a file that cannot be used.
    """
    made = _default()
    path = ""
    try:
        for path in trust.authorities:
            made.load_verify_locations(path)
        for path, key in trust.clients if own else ():
            made.load_cert_chain(path, key)
    except (OSError, ssl.SSLError) as error:
        why = (error.strerror if not isinstance(error, ssl.SSLError) else error.reason) or str(error)
        raise RegistryConfigurationError(
            f"cannot use certificate {path}: {why.lower()}", hint="it has to be a PEM file, with its key"
        ) from error
    if not trust.verify:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def _default() -> ssl.SSLContext:
    """The host's certificate authorities, where operators add theirs; else those of certifi."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and os.listdir(paths.capath)):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
