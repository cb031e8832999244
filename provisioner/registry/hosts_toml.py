"""certs.d: TLS files and mirrors by registry, in the forms of containerd, Docker and podman.

DIR/HOST:PORT/hosts.toml             containerd's docs/hosts.md; `_default` for all that have none
DIR/HOST:PORT/*.crt                  authorities, by Docker's and containers-certs.d(5)'s pattern
DIR/HOST:PORT/NAME.cert, NAME.key    a client certificate

server = "https://registry.local"    tried last; without it, the registry itself
[host."https://mirror.local"]        tried before, in this order
  capabilities = ["pull", "resolve"] resolve: may say what a tag stands for
  ca = "mirror.crt"                  a path or several, relative to the file
  client = [["client.cert", "client.key"]]
  skip_verify = false
  override_path = false              the URL's path is the API's root: no /v2 is added
  dial_timeout = "10s"
  proxy = "http://proxy.local:8080"
  [host."https://mirror.local".header]
    x-name = "value"
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from launcher.data import replace
from provisioner.registry.endpoint import CONNECT_TIMEOUT, Endpoint, Scheme, Trust, address_of, is_loopback
from provisioner.registry.toml import Table

_DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")  # Go's, of the usual units


def certificates(directories: Sequence[str], address: str) -> Trust:
    """The certificate files for a HOST[:PORT] in all directories."""
    found = [f"{directory}/{address}" for directory in directories]
    names = [(place, name) for place in found if os.path.isdir(place) for name in sorted(os.listdir(place))]
    clients = []
    for place, name in names:
        if name.endswith(".cert"):
            key = f"{place}/{name.removesuffix('.cert')}.key"
            clients.append((f"{place}/{name}", key if os.path.exists(key) else None))
    return Trust(
        authorities=tuple(f"{place}/{name}" for place, name in names if name.endswith(".crt")),
        clients=tuple(clients),
    )


def hosts_file(directories: Sequence[str], registry: str) -> Table | None:
    """The hosts.toml for a registry. Raises RegistryConfigurationError."""
    host, colon, port = registry.rpartition(":")
    names = [f"{host}_{port}_"] if colon and port.isdigit() else []
    for name in (*names, registry, "_default"):
        for directory in directories:
            if file := Table.read(f"{directory}/{name}/hosts.toml"):
                return file
    return None


def endpoints(file: Table, own: Endpoint) -> Iterator[Endpoint]:
    """Those that the file has for a registry, whose `own` endpoint would be used without it."""
    for url in file.table("host").value:
        yield _endpoint(file.table("host").table(url), url, own)
    yield _endpoint(file, file.text("server"), own) if file.text("server") else _adorned(file, own)


def _endpoint(table: Table, url: str, own: Endpoint) -> Endpoint:
    scheme, address, path = _split(table, url)
    root = path.rstrip("/")
    if not table.flag("override_path") and not root.endswith("/v2"):
        root += "/v2"
    address = address_of(address)
    elsewhere = address != own.address
    changed = replace(
        own,
        # Docker Hub's credentials are stored under another name than that of its server.
        registry=address if elsewhere else own.registry,
        address=address,
        scheme=scheme,
        root=root,
        namespace=own.registry if elsewhere else None,
        trust=Trust() if elsewhere else own.trust,
    )
    return _adorned(table, changed)


def _split(table: Table, url: str) -> tuple[Scheme, str, str]:
    if "://" not in url:
        url = f"{'http' if is_loopback(url.partition('/')[0]) else 'https'}://{url}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise table.wrong(url, f"is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise table.wrong(url, "has to be an http or https URL, without a user")
    return ("https" if parts.scheme == "https" else "http"), parts.netloc, parts.path


def _adorned(table: Table, endpoint: Endpoint) -> Endpoint:
    """With what a table says of it."""
    capabilities = table.texts("capabilities") or ("pull", "resolve")
    trust = endpoint.trust
    authorities = tuple(map(table.beside, table.texts("ca")))
    return replace(
        endpoint,
        trust=Trust(
            verify=trust.verify and not table.flag("skip_verify"),
            authorities=(*trust.authorities, *authorities),
            clients=(*trust.clients, *_clients(table)),
        ),
        headers=tuple(_headers(table.table("header"))),
        resolves="resolve" in capabilities,
        pulls="pull" in capabilities,
        proxy=table.text("proxy") or None,
        connect_timeout=_timeout(table),
    )


def _clients(table: Table) -> Iterator[tuple[str, str | None]]:
    value = table.value.get("client", [])
    for item in [value] if isinstance(value, str) else value if isinstance(value, list) else [None]:
        pair = [item, ""] if isinstance(item, str) else item
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(p, str) for p in pair):
            raise table.wrong("client", "has to be a path, paths, or pairs of them")
        yield table.beside(pair[0]), table.beside(pair[1]) if pair[1] else None


def _headers(table: Table) -> Iterator[tuple[str, str]]:
    for name in table.value:
        value = ", ".join(table.texts(name))
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not value.isprintable():
            raise table.wrong(name, "is no HTTP header")
        yield name, value


def _timeout(table: Table) -> float:
    text = table.text("dial_timeout")
    match = _DURATION.fullmatch(text)
    if match is None:
        raise table.wrong("dial_timeout", f"is no duration: {text!r}")
    minutes, seconds, milliseconds = (float(group or 0) for group in match.groups())
    return minutes * 60 + seconds + milliseconds / 1000 or CONNECT_TIMEOUT
