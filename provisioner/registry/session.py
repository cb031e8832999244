"""Session: requests to one endpoint in one pull, authorized as it asks to be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from provisioner.errors import ProvisionerError
from provisioner.registry import failure
from provisioner.registry.endpoint import Endpoint
from provisioner.registry.http import Answer, Http
from provisioner.registry.line import Line
from provisioner.registry.tokens import Authorizer

_MAX_ERROR = 64 << 10  # bytes of an error's JSON
_UNAUTHORIZED = 401


class Session:
    """Safe to use from several threads."""

    def __init__(
        self, endpoint: Endpoint, base: str, authorizer: Authorizer, line: Line, note: Callable[[str], None]
    ) -> None:
        self.endpoint = endpoint
        self._base = base
        self._authorizer = authorizer
        self._http = Http(endpoint, base, line, note)

    def close(self) -> None:
        self._http.close()

    def get(
        self,
        path: str,
        what: str,
        headers: Mapping[str, str],
        *,
        method: str = "GET",
        accepted: Collection[int] = (200,),
    ) -> Answer:
        """The answer to a request below the repository; `what` names its object in errors.

        Raises ImageNotFound, Unauthorized, RegistryUnreachable, RegistryFailed.
        """
        endpoint = self.endpoint
        url = f"{self._base}{endpoint.root}/{endpoint.repository}/{path}"
        query = [("ns", endpoint.namespace)] if endpoint.namespace else []
        used = self._authorizer.current(self._http, self._base)
        answer = self._http.request(method, url, authorization=used, headers=headers, query=query)
        if answer.status == _UNAUTHORIZED and not answer.elsewhere:
            challenges = answer.challenges
            answer.drain()
            header = self._authorizer.answer(self._http, self._base, challenges, used)
            answer = self._http.request(method, url, authorization=header, headers=headers, query=query)
        if answer.status in accepted:
            return answer
        raise self._error(answer, what)

    def _error(self, answer: Answer, what: str) -> ProvisionerError:
        with answer:
            content = answer.read_bounded(_MAX_ERROR)
        if answer.elsewhere:
            what = f"{what}, for which it redirects to {answer.elsewhere}"
        return failure.answered(self.endpoint.registry, answer.status, content, what, answer.tries)
