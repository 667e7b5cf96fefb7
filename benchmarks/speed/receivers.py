"""Receivers of webhooks: ours and those of well-known packages, each called in process with its own vendor's format."""

import base64
import hmac
import importlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.speed.bodies import SIZE, fit_text
from benchmarks.speed.machine import find_version
from benchmarks.speed.timing import Call
from triage import Buckets, Router
from triage.classifiers import Rules
from triage.classifiers.base import ClassifierLike
from triage.inbox.base import Inbox
from triage.testing import FakeCrisp, FakeFront, FakeHelpScout, FakeIntercom, FakeZendesk, Webhook
from triage.testing.desks.base import IN_PROCESS, FakeHelpDesk

DESKS: Mapping[str, Callable[..., FakeHelpDesk]] = {
    "crisp": FakeCrisp,
    "front": FakeFront,
    "helpscout": FakeHelpScout,
    "intercom": FakeIntercom,
    "zendesk": FakeZendesk,
}

_SECRET = "benchmark-secret"  # noqa: S105 - it protects nothing


@dataclass(frozen=True)
class Receiver:
    """A function that receives a webhook, ready to be called."""

    name: str
    does: str
    """What it does with a delivery."""
    size: int
    """The size of the body in bytes."""
    call: Call


def create_ours(desk: str) -> Receiver:
    """Return our own receiver for a help desk.

    Args:
        desk: The name of the help desk.
    """
    fake = DESKS[desk]()
    router = create_router(fake)
    webhook = write_webhook(DESKS[desk])

    def call() -> None:
        if router.receive(webhook.body, webhook.headers).event is None:
            raise AssertionError(f"{desk}: the webhook was not accepted")

    return Receiver(f"triage, {desk}", "verify, parse into an event", len(webhook.body), call)


def create_router(
    fake: FakeHelpDesk,
    base_url: str = IN_PROCESS,
    *,
    classifier: ClassifierLike | None = None,
    inbox: Inbox | None = None,
) -> Router:
    """Return a Router for a fake help desk.

    Args:
        fake: The fake.
        base_url: The URL of the fake, if it runs as a server.
        classifier: The classifier; by default one that needs no network.
        inbox: The inbox, if the Router is durable.
    """
    teams: dict[str, str | int] = dict(zip(("urgent", "billing", "general"), fake.teams, strict=False))
    adapter = fake.adapter(**fake.settings(base_url))
    return Router(adapter, buckets=Buckets.default(teams), classifier=classifier or Rules.default(), inbox=inbox)


def write_webhook(fake: Callable[[], FakeHelpDesk]) -> Webhook:
    """Return a webhook whose body has about 4 KB, if it contains the text of the message."""
    text = fit_text(lambda text: len(fake().customer_writes(text).body))
    return fake().customer_writes(text)


def find_others() -> tuple[list[Receiver], list[str]]:
    """Return the receivers of other packages, and the names of the packages that are not installed."""
    installed = [name for name in _OTHERS if find_version(name)]
    missing = [name for name in _OTHERS if name not in installed]
    return [_OTHERS[name](f"{name} {find_version(name)}") for name in installed], missing


def _create_slack_bolt(name: str) -> Receiver:
    # Imported by name, because a type checker does not find what need not be installed.
    bolt = importlib.import_module("slack_bolt")
    authorization = importlib.import_module("slack_bolt.authorization")
    result = authorization.AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-1", bot_id="B1")  # noqa: S106
    app = bolt.App(signing_secret=_SECRET, authorize=lambda: result, process_before_response=True)
    app.event("message")(lambda: None)

    def build(text: str) -> Any:
        message = {"type": "message", "channel": "C1", "user": "U1", "ts": "1700000000.000100", "text": text}
        return {"token": "t", "team_id": "T1", "type": "event_callback", "event_id": "Ev1", "event": message}

    body = _build_body(build)
    at = str(int(time.time()))
    headers = {
        "content-type": ["application/json"],
        "x-slack-request-timestamp": [at],
        "x-slack-signature": [f"v0={_sign(f'v0:{at}:'.encode() + body)}"],
    }
    text = body.decode()

    def call() -> None:
        if app.dispatch(bolt.BoltRequest(body=text, headers=headers)).status != 200:
            raise AssertionError("slack-bolt: the webhook was not accepted")

    return Receiver(name, "verify, parse, call a listener", len(body), call)


def _create_gidgethub(name: str) -> Receiver:
    sansio = importlib.import_module("gidgethub.sansio")

    def build(text: str) -> Any:
        comment = {"id": 1, "user": {"login": "mira", "id": 2}, "body": text}
        return {"action": "created", "issue": {"number": 1, "title": "Charged twice"}, "comment": comment}

    body = _build_body(build)
    headers = {
        "content-type": "application/json",
        "x-github-event": "issue_comment",
        "x-github-delivery": str(uuid.uuid4()),
        "x-hub-signature-256": f"sha256={_sign(body)}",
    }
    return Receiver(name, "verify, parse", len(body), lambda: sansio.Event.from_http(headers, body, secret=_SECRET))


def _create_standardwebhooks(name: str) -> Receiver:
    return _create_standard(name, importlib.import_module("standardwebhooks").Webhook, "webhook")


def _create_svix(name: str) -> Receiver:
    return _create_standard(name, importlib.import_module("svix.webhooks").Webhook, "svix")


def _create_standard(name: str, webhook_class: Callable[[str], Any], prefix: str) -> Receiver:
    body, at = _build_body(lambda text: {"type": "message.created", "data": {"id": "1", "text": text}}), time.time()
    signature = hmac.digest(_SECRET.encode(), f"msg_1.{int(at)}.".encode() + body, "sha256")
    headers = {
        f"{prefix}-id": "msg_1",
        f"{prefix}-timestamp": str(int(at)),
        f"{prefix}-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
    webhook = webhook_class(base64.b64encode(_SECRET.encode()).decode())
    return Receiver(name, "verify, parse", len(body), lambda: webhook.verify(body, headers))


def _create_stripe(name: str) -> Receiver:
    stripe = importlib.import_module("stripe")

    def build(text: str) -> Any:
        charge = {"id": "ch_1", "object": "charge", "amount": 1042, "currency": "usd", "description": text}
        return {"id": "evt_1", "object": "event", "type": "charge.failed", "created": 1, "data": {"object": charge}}

    body, at = _build_body(build), int(time.time())
    header = f"t={at},v1={_sign(f'{at}.'.encode() + body)}"
    return Receiver(
        name, "verify, parse into an event", len(body), lambda: stripe.Webhook.construct_event(body, header, _SECRET)
    )


_OTHERS: Mapping[str, Callable[[str], Receiver]] = {
    "slack-bolt": _create_slack_bolt,
    "gidgethub": _create_gidgethub,
    "standardwebhooks": _create_standardwebhooks,
    "svix": _create_svix,
    "stripe": _create_stripe,
}


def _build_body(build: Callable[[str], Any]) -> bytes:
    text = fit_text(lambda text: len(json.dumps(build(text))), SIZE)
    return json.dumps(build(text)).encode()


def _sign(content: bytes) -> str:
    return hmac.digest(_SECRET.encode(), content, "sha256").hex()
