"""RegistryOptions: what a caller may say of registries, before any file of the host is read."""

from __future__ import annotations

from launcher.data import Data


class Credentials(Data, kw_only=True):
    """Who asks. A token, where there is one, stands for the password."""

    username: str = ""
    password: str = ""
    identity_token: str = ""  # what a login gave to be exchanged for tokens: OAuth2's refresh token
    registry_token: str = ""  # a Bearer token as it is

    def __repr__(self) -> str:
        """Secrets stay out of tracebacks and logs."""
        return f"Credentials(username={self.username!r})"


class RegistryOptions(Data, kw_only=True):
    """None stands for the host's own files; see `provisioner.registry.settings` for their places."""

    insecure: tuple[str, ...] = ()  # HOST[:PORT] that may do without TLS, or without a trusted certificate
    registries_conf: str | None = None  # file in the form of containers-registries.conf(5)
    certs_dir: str | None = None  # directory in the form of containerd's, Docker's or containers-certs.d(5)
    appc_prefix: str | None = None  # URL or directory of `appc:` images; None: of the environment, or https
    authfile: str | None = None  # file in the form of containers-auth.json(5)
    credentials: Credentials | None = None  # instead of those of any file, for the registry that is named
