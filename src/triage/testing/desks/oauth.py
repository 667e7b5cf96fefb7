"""A fake help desk whose access tokens come from an OAuth 2.0 token endpoint."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import Unpack

from triage.testing.desks.base import FakeHelpDesk, FakeOptions
from triage.testing.desks.records import Call, Refusal


class OAuthHelpDesk(FakeHelpDesk):
    """A help desk with the client credentials grant of RFC 6749, section 4.4.

    Args:
        client_id: The id of the client.
        client_secret: The client's secret.
        options: See `FakeHelpDesk`.

    Attributes:
        tokens: Access tokens, and when they expire in seconds since the epoch.
    """

    token_path: str
    """The path of the token endpoint."""

    def __init__(self, client_id: str, client_secret: str, **options: Unpack[FakeOptions]) -> None:
        super().__init__(**options)
        self.tokens: dict[str, float] = {}
        self._credentials = (client_id, client_secret)

    def withdraw_tokens(self) -> None:
        """Expire all access tokens now."""
        with self._lock:
            self.tokens.clear()

    def has_token(self, call: Call) -> bool:
        """Return True if a call carries a valid access token."""
        return self.tokens.get(call.bearer_token, 0) > self.clock()

    def check_client(self, form: Mapping[str, Any]) -> None:
        """Check the grant type and the client's credentials.

        Raises:
            Refusal: The client does not get a token.
        """
        if form.get("grant_type") != "client_credentials":
            raise Refusal(400, "unsupported_grant_type", "The grant type is not supported")
        if (form.get("client_id"), form.get("client_secret")) != self._credentials:
            raise Refusal(401, "invalid_client", "Client authentication failed")

    def issue_token(self, lifetime: int) -> dict[str, Any]:
        """Return the response of the token endpoint.

        Args:
            lifetime: Seconds until the token expires.
        """
        token = f"fake-token-{self.next_id()}"
        self.tokens[token] = self.clock() + lifetime
        return {"access_token": token, "token_type": "bearer", "expires_in": lifetime}
