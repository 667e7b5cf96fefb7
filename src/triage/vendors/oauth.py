"""Fetch an access token with the client credentials grant: RFC 6749, section 4.4, with a JSON body."""

from typing import Annotated, Any

from pydantic import StringConstraints

from triage.models import Request, Response, Token
from triage.vendors.payload import Loose, Payload
from triage.vendors.responses import parse_response


class _Grant(Payload):
    access_token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$")]
    expires_in: Loose[float] = None


class ClientCredentials:
    """The `Auth` of a vendor that requires a fetched token.

    Args:
        url: The token endpoint.
        client_id: The client's id.
        client_secret: The client's secret.
        vendor: The vendor's name, for errors.
        lifetime: The assumed lifetime of a token in seconds, if the response does not say.
        extra: Further fields that the vendor requires in the body: `scope="read"`.
    """

    def __init__(
        self, url: str, client_id: str, client_secret: str, *, vendor: str, lifetime: float = 1800.0, **extra: Any
    ) -> None:
        self._url = url
        self._body = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            **extra,
        }
        self._vendor = vendor
        self._lifetime = lifetime

    def request(self) -> Request:
        """Return the call that fetches a token."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return Request("POST", self._url, self._body, headers, idempotent=True)

    def token(self, request: Request, response: Response, now: float) -> Token:
        """Parse the response to `request()`.

        Args:
            request: The call.
            response: A 2xx response.
            now: Seconds since the epoch.

        Raises:
            VendorError: The response does not contain a usable token.
        """
        grant = parse_response(_Grant, request, response, vendor=self._vendor)
        return Token(grant.access_token, now + (grant.expires_in or self._lifetime))
