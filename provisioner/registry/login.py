"""login and logout: try credentials at a registry, and store them where pulls look for them.

They go to the credential helper that registries.conf has first, or that the files name for the registry,
or else into the primary auth.json. A registry that gives an identity token in exchange has that stored,
not the password.
"""

from __future__ import annotations

from collections.abc import Callable

from launcher.data import Data, replace
from provisioner.errors import InvalidReference, Unauthorized
from provisioner.reference import ImageReference
from provisioner.registry import auth_file, credential_helper, failure
from provisioner.registry import credentials as lookup
from provisioner.registry.auth import basic
from provisioner.registry.auth_file import AuthFile
from provisioner.registry.endpoint import Endpoint
from provisioner.registry.http import Http
from provisioner.registry.line import Line
from provisioner.registry.options import Credentials, RegistryOptions
from provisioner.registry.registries_conf import AUTH_FILES
from provisioner.registry.scheme import base_url
from provisioner.registry.settings import Settings
from provisioner.registry.tokens import MAX_ANSWER, Authorizer

_OK, _UNAUTHORIZED = 200, 401
_ANY = "image"  # stands for a repository where only the registry is of interest


class Login(Data, kw_only=True):
    """What became of the credentials."""

    where: str  # a file, or the program of a credential helper
    tried: bool  # False: the registry asks nobody who they are, so they may be wrong


def login(key: str, options: RegistryOptions, note: Callable[[str], None] = lambda text: None) -> Login:
    """Try and store `options.credentials` for HOST[:PORT][/NAMESPACE].

    Raises Unauthorized, InvalidReference, RegistryUnreachable, RegistryFailed, RegistryConfigurationError.
    """
    registry = registry_of(key)
    assert options.credentials is not None
    settings = Settings(options)
    try:
        tried, credentials = _tried(settings.of_registry(registry), options.credentials, note)
    except Unauthorized as error:
        if error.hint:  # it sends who pulls to log in
            error.hint = "check the user's name and the password, or the token that stands for it"
        raise
    files = [AuthFile.read(path) for path in auth_file.paths(options.authfile)]
    # Helpers know whole registries only.
    helper = _helper(files, registry, settings, options) if key == registry else None
    if helper:
        credential_helper.store(helper, lookup.server(registry), credentials)
        return Login(where=f"docker-credential-{helper}", tried=tried)
    files[0].with_entry(key, credentials).write()
    return Login(where=files[0].path, tried=tried)


def logout(key: str, options: RegistryOptions) -> list[str]:
    """Forget what is stored for the key, where `login` would store it; from where it went.

    Raises Unauthorized when there was nothing, which names the file that still has some.
    """
    registry = registry_of(key)
    files = [AuthFile.read(path) for path in auth_file.paths(options.authfile)]
    gone = []
    helper = _helper(files, registry, Settings(options), options) if key == registry else None
    if helper and credential_helper.get(helper, lookup.server(registry)):
        credential_helper.erase(helper, lookup.server(registry))
        gone.append(f"docker-credential-{helper}")
    changed = files[0]
    for name in lookup.host_keys(registry) if key == registry else (key,):
        changed = changed.without_entry(name) or changed
    if changed is not files[0]:
        changed.write()
        gone.append(changed.path)
    if not gone:
        others = [f.path for f in files[1:] for name in (key, *lookup.host_keys(key)) if f.entry(name)]
        raise Unauthorized(
            f"nobody is logged in to {key}",
            hint=f"remove it by hand: {others[0]} has credentials for it" if others else None,
        )
    return gone


def registry_of(key: str) -> str:
    """The HOST[:PORT] of HOST[:PORT][/NAMESPACE]. Raises InvalidReference."""
    host, slash, path = key.partition("/")
    try:
        parsed = ImageReference.parse(f"{host}/{path if slash else _ANY}")
    except InvalidReference:
        parsed = None
    if parsed is None or parsed.registry != host or (parsed.tag, parsed.digest) != ("latest", None):
        raise InvalidReference(f"invalid registry {key!r}", hint="write HOST[:PORT][/NAMESPACE]")
    return host


def _helper(files: list[AuthFile], registry: str, settings: Settings, options: RegistryOptions) -> str | None:
    first = settings.credential_helpers[0]
    if first != AUTH_FILES and not options.authfile:
        return first
    return next(filter(None, (lookup.helper(file, registry) for file in files)), None)


def _tried(
    endpoint: Endpoint, credentials: Credentials, note: Callable[[str], None]
) -> tuple[bool, Credentials]:
    """Whether the registry wanted to know them, and what is to be stored: them, or an identity token."""
    line = Line()
    base = base_url(endpoint)
    http = Http(endpoint, base, line, note)
    try:
        return _exchange(endpoint, base, http, credentials)
    finally:
        http.close()
        line.close()


def _exchange(
    endpoint: Endpoint, base: str, http: Http, credentials: Credentials
) -> tuple[bool, Credentials]:
    url = f"{base}{endpoint.root}/"
    with http.request("GET", url) as answer:
        status, content = answer.status, answer.read_bounded(MAX_ANSWER)
        challenges = answer.challenges
    secret = basic(credentials.username, credentials.password)
    for challenge in challenges if status == _UNAUTHORIZED else ():
        if challenge.scheme == "bearer" and "realm" in challenge.parameters:
            authorizer = Authorizer(endpoint.registry, "", lambda given=credentials: given)  # type: ignore[misc]
            token = authorizer.token(http, base, challenge, offline=True)
            if token.refresh:
                credentials = replace(credentials, password="", identity_token=token.refresh)
            secret = f"Bearer {token.access}"
            break
    asked = status == _UNAUTHORIZED
    if asked:
        with http.request("GET", url, authorization=secret) as answer:
            status, content = answer.status, answer.read_bounded(MAX_ANSWER)
    if status != _OK:
        raise failure.answered(endpoint.registry, status, content, f"user {credentials.username!r}")
    return asked, credentials
