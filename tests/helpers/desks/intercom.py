"""Intercom, as the shared tests need it."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from tests.helpers.desks.base import Desk, Vector
from triage.testing import FakeIntercom, Webhook
from triage.vendors import Intercom


class IntercomDesk(Desk):
    """Intercom with an app of API version 2.13, which most payloads in the wild have."""

    name = "intercom"
    vendor = Intercom
    teams: ClassVar = {"urgent": "12345", "billing": "67890", "general": "11111"}
    read = "GET /conversations/*"
    reply = note = "POST /conversations/*/reply"
    everything: ClassVar = {"topics": ["conversation.user.created", "conversation.user.replied"]}
    human = "88888"

    def __init__(self, api_version: Any = "2.13") -> None:
        super().__init__()
        self.fake: FakeIntercom = FakeIntercom(client_secret=self.secret, api_version=api_version, clock=self.clock)

    def sign(self, body: bytes, secret: str | None = None) -> dict[str, str]:
        digest = hmac.new((secret or self.secret).encode(), body, hashlib.sha1).hexdigest()
        return {"X-Hub-Signature": f"sha1={digest}", "Content-Type": "application/json"}

    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        good = self.sign(body)["X-Hub-Signature"].removeprefix("sha1=")
        sha256 = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        values = {
            "empty": "",
            "scheme only": "sha1=",
            "no scheme": good,
            "wrong": "sha1=" + "0" * 40,
            "cut": f"sha1={good[:-2]}",
            "odd length": f"sha1={good[:-1]}",
            "longer": f"sha1={good}00",
            "capitals": f"sha1={good.upper()}" if good.upper() != good else "sha1=AB",
            "spaces": f"sha1= {good}",
            "not hex": "sha1=" + "z" * 40,
            "not ASCII": "sha1=" + "é" * 40,
            "another algorithm": f"sha256={sha256}",
            "an algorithm by its content": f"sha1={sha256}",
            "twice": f"sha1={good}, sha1={good}",
            "none": "sha1=None",
        }
        return {name: {"X-Hub-Signature": value} for name, value in values.items()} | {"absent": {}}

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        conversation = self.fake.customer_writes("Hello").conversation_id or ""
        yield "ping", self.fake.ping()
        yield "topic conversation.admin.replied", self.fake.agent_writes("Hi", conversation=conversation)
        yield "topic conversation.user.replied", self.fake.customer_writes("Still there?", conversation=conversation)
        yield "topic conversation.admin.replied", self.fake.bot_greets()
        yield "not written by a customer", self._change_source(author={"type": "bot", "id": "7"})
        yield "not written by a customer", self._change_source(author={"type": "admin", "id": "814860"})
        yield "the message is empty", self.fake.customer_writes("   ")

    def malformed(self) -> Iterable[object]:
        topic = "conversation.user.created"
        good = json.loads(self.fake.customer_writes("Hello").body)
        yield {}
        yield {"topic": 7}
        yield {"topic": topic}
        yield good | {"app_id": None}
        yield good | {"app_id": "../etc"}
        yield good | {"data": []}
        yield good | {"data": {"item": "text"}}
        yield good | {"data": {"item": good["data"]["item"] | {"id": "1/../../contacts"}}}
        yield json.loads(self._change_source(body=["text"]).body)
        yield good | {"data": {"item": good["data"]["item"] | {"source": "text"}}}

    def _change_source(self, **source: Any) -> Webhook:
        """Return the webhook of a new conversation with another first message."""
        payload = json.loads(self.fake.customer_writes("Hello").body)
        payload["data"]["item"]["source"] |= source
        body = json.dumps(payload).encode()
        return Webhook(body, self.sign(body))

    def vectors(self) -> Sequence[Vector]:
        key = "triage-test-client-secret"
        ping = (
            '{"type":"notification_event","app_id":"abc123de","data":{"type":"notification_event_data","item":'
            '{"type":"ping","message":"This is a ping notification test message."}},"links":{},"id":null,'
            '"topic":"ping",'
            '"delivery_status":null,"delivery_attempts":1,"delivered_at":0,"first_sent_at":1795510800,'
            '"created_at":1795510800,"self":null}'
        )
        created = (
            '{"type":"notification_event","app_id":"abc123de","id":"notif_11111111-2222-4333-8444-555555555555",'
            '"topic":"conversation.user.created","data":{"type":"notification_event_data","item":{"type":"conversation",'
            '"id":"215470000000001","source":{"body":"<p>Grüße aus Köln – Rechnung 42 € ☕ 支払い</p>"}}}}'
        )
        signed = [
            (key, ping, "bc343357b07c692a4892a73e09371a121d96506c"),
            (key, created, "97dc5d98a7c40cb98d5634fe9078ea54bf5c9693"),
            (key, json.dumps(json.loads(created), separators=(",", ":")), "8b812a67cfe5725c8e55ad309319b6e38d93d525"),
            (key, json.dumps(json.loads(created), ensure_ascii=False), "d28d99725da5a41aaf1cb7a7e6f32ef4d8fe2338"),
            (
                "clé-secrète-🔑",
                '{"type":"notification_event","topic":"ping","id":null}\n',
                "2c8faa133903eadab5e3797b9c18181f9d637e39",
            ),
            (key, "", "0f5518288d45121dbde717201948decab74ccd9b"),
            ("Jefe", "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),  # RFC 2202, case 2
        ]
        return [Vector(secret, body.encode(), {"X-Hub-Signature": f"sha1={digest}"}) for secret, body, digest in signed]
