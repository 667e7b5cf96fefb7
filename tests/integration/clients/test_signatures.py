"""The library accepts signatures computed by other programs, and other programs accept those of the fakes."""

import base64
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.helpers.desks import BASE_URL, CrispDesk, Desk, FrontDesk, HelpScoutDesk, IntercomDesk, ZendeskDesk
from tests.integration.clients.conftest import Run
from triage import InvalidSignature
from triage.models import Delivery

DESKS: dict[str, Desk] = {
    "intercom": IntercomDesk(),
    "helpscout": HelpScoutDesk(),
    "zendesk": ZendeskDesk(),
    "front": FrontDesk(),
    "front-rule": FrontDesk(source="rule"),
    "crisp": CrispDesk(),
}
NOW = 1_795_510_800
STAMPS = {
    "zendesk": datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "front": f"{NOW}123",
    "crisp": f"{NOW}123",
}
BODIES = [b"", b"{}", '{"text":"Größe 38 – 日本語 😀"}'.encode(), b'{ "a":\n1}\n', bytes(range(256))]
SECRETS = ["secret", "clé-secrète-🔑", "aGVsbG8=", "x" * 200]

# For each scheme: OpenSSL's option, the signed message made of a timestamp and a body, and the header.
OPENSSL: dict[str, tuple[str, Callable[[bytes, bytes], bytes], str]] = {
    "intercom": ("-sha1", lambda stamp, body: body, "X-Hub-Signature"),
    "helpscout": ("-sha1", lambda stamp, body: body, "X-HelpScout-Signature"),
    "zendesk": ("-sha256", lambda stamp, body: stamp + body, "X-Zendesk-Webhook-Signature"),
    "front": ("-sha256", lambda stamp, body: stamp + b":" + body, "X-Front-Signature"),
    "front-rule": ("-sha1", lambda stamp, body: body, "X-Front-Signature"),
    "crisp": ("-sha256", lambda stamp, body: b"[" + stamp + b";" + body + b"]", "X-Crisp-Signature"),
}


def run_openssl(openssl: str, algorithm: str, secret: str, message: bytes) -> bytes:
    command = [openssl, "dgst", algorithm, "-hmac", secret, "-binary"]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


def encode(scheme: str, digest: bytes) -> str:
    """Encode a digest as the help desk does in its header."""
    values = {"intercom": f"sha1={digest.hex()}", "crisp": digest.hex()}
    return values.get(scheme, base64.b64encode(digest).decode())


def verify(scheme: str, secret: str, body: bytes, headers: dict[str, str]) -> None:
    settings: dict[str, Any] = DESKS[scheme].fake.settings(BASE_URL)
    name = next(name for name in settings if "secret" in name)
    adapter = type(DESKS[scheme].adapter())(**(settings | {name: secret}))
    adapter.verify(Delivery.create(body, headers, NOW))


def test_signatures_computed_by_node_are_accepted(node: Run) -> None:
    cases = [
        {"scheme": scheme, "secret": secret, "body": base64.b64encode(body).decode(), "stamp": STAMPS.get(scheme, "")}
        for scheme in DESKS
        for secret in SECRETS
        for body in BODIES
    ]
    for case, headers in zip(cases, node("sign.cjs", cases=cases), strict=True):
        body = base64.b64decode(case["body"])
        verify(case["scheme"], case["secret"], body, headers)
        with pytest.raises(InvalidSignature):
            verify(case["scheme"], case["secret"], body + b"x", headers)


def test_node_accepts_signatures_of_the_fakes(node: Run) -> None:
    cases: list[dict[str, Any]] = []
    for scheme, desk in DESKS.items():
        webhook = desk.fake.customer_writes("Größe 38 – 日本語 😀")
        headers = {name.lower(): value for name, value in webhook.headers.items()}
        stamp = next((value for name, value in headers.items() if name.endswith("timestamp")), "")
        case = {"scheme": scheme, "secret": desk.secret, "stamp": stamp, "headers": headers}
        cases.append({**case, "body": base64.b64encode(webhook.body).decode()})
        cases.append({**case, "body": base64.b64encode(webhook.body + b" ").decode()})
    assert node("sign.cjs", cases=cases) == [True, False] * len(DESKS)


@pytest.mark.parametrize("scheme", list(OPENSSL))
def test_a_signature_computed_by_openssl_is_accepted(scheme: str, openssl: str) -> None:
    algorithm, build_message, header = OPENSSL[scheme]
    stamp = STAMPS.get(scheme, "")
    body = BODIES[2]
    digest = run_openssl(openssl, algorithm, "secret", build_message(stamp.encode(), body))
    headers = {
        header: encode(scheme, digest),
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        "X-Front-Request-Timestamp": stamp,
        "X-Crisp-Request-Timestamp": stamp,
    }
    verify(scheme, "secret", body, headers)


@pytest.mark.parametrize("scheme", list(OPENSSL))
def test_openssl_computes_the_signature_of_the_fake(scheme: str, openssl: str) -> None:
    algorithm, build_message, header = OPENSSL[scheme]
    desk = DESKS[scheme]
    webhook = desk.fake.customer_writes("Größe 38 – 日本語 😀")
    stamp = next((value for name, value in webhook.headers.items() if name.lower().endswith("timestamp")), "")
    digest = run_openssl(openssl, algorithm, desk.secret, build_message(stamp.encode(), webhook.body))
    assert webhook.headers[header] == encode(scheme, digest)
