"""PlainSession: requests' session without its idea of redirects; who uses it follows them himself.

`allow_redirects=False` does not do: requests works out the next request all the same. For that it reads
and decodes the whole body of a redirect into memory, however long that is, and what is wrong with a
Location it raises as whatever exception its parsing ends in.
"""

from __future__ import annotations

import requests


class PlainSession(requests.Session):
    """One request, one answer."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No answer is a redirect."""
