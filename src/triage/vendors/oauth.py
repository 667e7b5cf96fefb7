"""Fetching an access token with a client's credentials: RFC 6749, section 4.4, with a JSON body."""

from typing import Annotated, Any

from pydantic import StringConstraints

from triage.models import Request, Response, Token
from triage.vendors import responses as _http
from triage.vendors.payload import Loose, Payload


class _Grant(Payload):
    access_token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$")]
    expires_in: Loose[float] = None


class ClientCredentials:
    """The `Auth` of a vendor that wants them.

    Args:
        url: The token endpoint.
        client_id: The client's id.
        client_secret: Its secret.
        vendor: The vendor's name, for errors.
        life: Seconds that a token is taken to live where the answer does not tell.
        more: What else the vendor wants in the body: `scope="read"`.
    """

    def __init__(
        self, url: str, client_id: str, client_secret: str, *, vendor: str, life: float = 1800.0, **more: Any
    ) -> None:
        self._url = url
        self._body = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            **more,
        }
        self._vendor = vendor
        self._life = life

    def request(self) -> Request:
        """The call that gives a token."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return Request("POST", self._url, self._body, headers, idempotent=True)

    def token(self, request: Request, response: Response, now: float) -> Token:
        """Read its answer.

        Args:
            request: What was asked.
            response: A 2xx answer.
            now: Seconds since the epoch.

        Raises:
            VendorError: It holds no token.
        """
        grant = _http.parse_response(_Grant, request, response, vendor=self._vendor)
        return Token(grant.access_token, now + (grant.expires_in or self._life))
