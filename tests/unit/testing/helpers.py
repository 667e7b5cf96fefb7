"""Shared by the tests of the fakes: webhooks, signatures computed by OpenSSL, and the vendors' API descriptions."""

import json
import subprocess
from typing import Any

import httpx
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from triage.testing import FakeHelpDesk, Webhook


def parse_body(webhook: Webhook) -> Any:
    return json.loads(webhook.body)


def open_conversation(fake: FakeHelpDesk, text: str = "Hi", **options: Any) -> str:
    conversation_id = fake.customer_writes(text, **options).conversation_id
    assert conversation_id is not None
    return conversation_id


def compute_hmac(algorithm: str, key: str, message: bytes) -> bytes:
    """Compute an HMAC with OpenSSL instead of Python."""
    command = ["openssl", "dgst", f"-{algorithm}", "-hmac", key, "-binary"]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


def check_exchange(
    description: OpenAPI, client: httpx.Client, method: str, path: str, body: Any, keep: tuple[str, ...] = ()
) -> None:
    """Send a request to a fake, and validate it and the response against the vendor's description.

    Null values are not validated: the descriptions do not declare which fields may be null, and real responses hold
    null in many of them.

    Args:
        description: The vendor's OpenAPI description.
        client: A client of the fake.
        method: The HTTP method.
        path: The path.
        body: The JSON to send; None for none.
        keep: Names of fields that the description requires even if they are null.
    """
    response = client.request(method, path, json=body)
    server = str(description.spec["servers"][0]["url"]).format(subdomain="acme", domain="zendesk")
    request = MockRequest(
        server,
        method.lower(),
        path,
        headers=dict(client.headers),
        data=json.dumps(body).encode() if body else b"",
        content_type="application/json",
    )
    description.validate_request(request)
    content = json.dumps(_drop_nulls(response.json(), keep)).encode() if response.content else b""
    description.validate_response(request, MockResponse(content, response.status_code, dict(response.headers)))


def _drop_nulls(value: Any, keep: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {name: _drop_nulls(entry, keep) for name, entry in value.items() if entry is not None or name in keep}
    return [_drop_nulls(entry, keep) for entry in value] if isinstance(value, list) else value
