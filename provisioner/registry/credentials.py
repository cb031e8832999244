"""Whose credentials a repository gets: the lookup of containers-auth.json(5), with Docker's helpers.

registries.conf may name helpers of its own, before, after or instead of the files. In each file the
most specific key wins: HOST/NAMESPACE/NAME, HOST/NAMESPACE, HOST. For the host itself a credential helper
comes before what the file has, as it does in Docker.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.registry import auth_file, credential_helper
from provisioner.registry.auth_file import AuthFile
from provisioner.registry.endpoint import HUB
from provisioner.registry.options import Credentials
from provisioner.registry.registries_conf import AUTH_FILES

_HUB_SERVER = "https://index.docker.io/v1/"  # Docker's key for its own registry


def find(
    registry: str, repository: str, authfile: str | None = None, helpers: Sequence[str] = (AUTH_FILES,)
) -> Credentials | None:
    """What is stored for the repository; None: it is asked without. Raises RegistryConfigurationError.

    `helpers` are those of registries.conf; an explicit `authfile` is asked and nothing else.
    """
    for name in (AUTH_FILES,) if authfile else helpers:
        if name == AUTH_FILES:
            found = _in_files(registry, repository, authfile)
        else:
            found = credential_helper.get(name, server(registry))
        if found is not None:
            return found
    return None


def host_keys(registry: str) -> tuple[str, ...]:
    """The names under which writers have stored a registry, the usual one first."""
    if registry == HUB:
        return (HUB, _HUB_SERVER, "index.docker.io", "registry-1.docker.io")
    return (registry, f"https://{registry}", f"https://{registry}/v1/", f"http://{registry}")


def server(registry: str) -> str:
    """What credential helpers know the registry by."""
    return _HUB_SERVER if registry == HUB else registry


def helper(file: AuthFile, registry: str) -> str | None:
    """The credential helper that is configured for the registry."""
    return next(filter(None, map(file.helper, host_keys(registry))), None) or file.store


def _in_files(registry: str, repository: str, authfile: str | None) -> Credentials | None:
    found = (_in_file(AuthFile.read(path), registry, repository) for path in auth_file.paths(authfile))
    return next((credentials for credentials in found if credentials is not None), None)


def _in_file(file: AuthFile, registry: str, repository: str) -> Credentials | None:
    found = _of_repository(file, registry, repository)
    if found is None and (program := helper(file, registry)):
        found = credential_helper.get(program, server(registry))
    return found or _of_host(file, registry)


def in_document(file: AuthFile, registry: str, repository: str) -> Credentials | None:
    """What somebody else's document itself has: no helper is asked. Raises RegistryConfigurationError."""
    return _of_repository(file, registry, repository) or _of_host(file, registry)


def _of_repository(file: AuthFile, registry: str, repository: str) -> Credentials | None:
    key = f"{registry}/{repository}"
    while key != registry:
        found = file.entry(key)
        if found is not None:
            return found
        key = key.rpartition("/")[0]
    return None


def _of_host(file: AuthFile, registry: str) -> Credentials | None:
    return next(filter(None, map(file.entry, host_keys(registry))), None)
