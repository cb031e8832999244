"""An HTTP server in a thread of the test, gone with its context."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator

from tests.support.authority import Certificate


@contextlib.contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler], certificate: Certificate | None = None
) -> Iterator[str]:
    """Serve on loopback; its HOST:PORT. With a certificate in TLS."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False  # joined when the server closes
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
