"""Zendesk, as the shared cases need it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.helpers.desks.base import BASE_URL, Desk, Vector
from triage.testing import FakeZendesk, Webhook
from triage.vendors import Zendesk

PUBLIC = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
"""The vendor's published secret, good for tests of webhooks only."""


class ZendeskDesk(Desk):
    """Zendesk with an event subscription, and an OAuth client."""

    name = "zendesk"
    vendor = Zendesk
    teams: ClassVar = {"urgent": "98701", "billing": "98702", "general": "98703"}
    read = "GET /api/v2/tickets/*"
    reply = note = "PUT /api/v2/tickets/*"
    everything: ClassVar = {"events": ["ticket.created", "ticket.comment_added", "messaging_ticket.message_added"]}
    human = "9002"
    field = "27642"

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fake: FakeZendesk = FakeZendesk(signing_secret=self.secret, clock=self.clock, **options)

    def adapter(self, **overrides: Any) -> Zendesk:
        settings: dict[str, Any] = {**self.fake.settings(BASE_URL), **overrides}
        if settings["signing_secret"] == PUBLIC:
            # It is taken without being configured, and must not be: the vectors by it are of tests.
            settings["signing_secret"] = self.secret
        return Zendesk(**settings)

    def sign(self, body: bytes, secret: str | None = None, stamp: str | None = None) -> dict[str, str]:
        stamp = self.stamp() if stamp is None else stamp
        digest = hmac.new((secret or self.secret).encode(), stamp.encode() + body, hashlib.sha256).digest()
        return {
            "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }

    def stamp(self, late: float = 0) -> str:
        return datetime.fromtimestamp(self.clock() + late, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        good = self.sign(body)
        value, stamp = good.values()
        key = self.secret.encode()

        def made(message: bytes, algorithm: Any = hashlib.sha256, by: bytes = key) -> str:
            return base64.b64encode(hmac.new(by, message, algorithm).digest()).decode()

        values = {
            "empty": "",
            "hex": base64.b64decode(value).hex(),
            "an algorithm before it": f"sha256={value}",
            "wrong": base64.b64encode(bytes(32)).decode(),
            "cut": value[:-4],
            "no padding": value.rstrip("="),
            "spaces": f" {value}",
            "not ASCII": "é" * 44,
            "twice": f"{value}, {value}",
            "none": "None",
            "body and then the time": made(body + stamp.encode()),
            "the body alone": made(body),
            "a dot between": made(stamp.encode() + b"." + body),
            "another algorithm": made(stamp.encode() + body, hashlib.sha1),
            "a decoded secret": made(stamp.encode() + body, by=base64.b64decode("triagetestsecret")),
            "a body written anew": made(stamp.encode() + json.dumps(json.loads(body), indent=1).encode()),
        }
        forged = {name: {**good, "X-Zendesk-Webhook-Signature": value} for name, value in values.items()}
        stamps = {
            "stale": self.stamp(-301),
            "of the future": self.stamp(301),
            "no time": "now",
            "no such time": "2026-13-24T09:00:00Z",
            "an empty time": "",
            "seconds": str(int(self.clock())),
            "a time without a zone": self.stamp()[:-1],
            "a time in other digits": "２０２６-11-24T09:00:00Z",
        }
        late = {name: self.sign(body, stamp=stamp) for name, stamp in stamps.items()}
        return {
            **forged,
            **late,
            "absent": {},
            "without the time": {"X-Zendesk-Webhook-Signature": value},
            "another time": {**good, "X-Zendesk-Webhook-Signature-Timestamp": self.stamp(1)},
            "a stale test": self.sign(body, PUBLIC, self.stamp(-301)),
        }

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        conversation = self.fake.customer_writes("Hello").conversation_id or ""
        yield "the test of a webhook that is not saved yet", self.fake.ping()
        yield "event ticket.comment_added", self.fake.agent_writes("Hi", conversation=conversation)
        yield "event ticket.comment_added", self.fake.customer_writes("Still there?", conversation=conversation)
        yield "event ticket.agent_assignment_changed", self.fake.assign(conversation)
        yield "event messaging_ticket.message_added", self.fake.bot_greets()
        yield "event ?", self.signed({"type": "zen:event-type:not a word"})
        yield "event article.published", self.signed({"type": "zen:event-type:article.published"})
        yield "made by ourselves", self.changed(actor_id="9001")
        # A genuine payload signed with what anybody knows is no more than a test.
        body = self.fake.customer_writes("Hello").body
        yield "the test of a webhook that is not saved yet", Webhook(body, self.sign(body, PUBLIC))
        trigger = {"ticket_id": "{{ticket.id}}", "updated_at": "{{ticket.updated_at_with_timestamp}}"}
        yield "the test of a trigger's webhook", self.signed(trigger)
        known = {"ticket_id": "35001", "updated_at": "2026-11-24T09:00:00Z"}
        yield "made by ourselves", self.signed(known | {"actor_id": "9001"})
        yield "made by ourselves", self.signed(known | {"comment_author_id": "9001"})
        yield "not a public comment of a customer", self.signed(known | {"comment_public": "false"})
        yield "not a public comment of a customer", self.signed(known | {"actor_role": "Agent"})

    def malformed(self) -> Iterable[object]:
        good = json.loads(self.fake.customer_writes("Hello").body)
        yield {}
        yield {"type": 7}
        yield {"type": good["type"]}
        yield good | {"detail": None}
        yield good | {"detail": good["detail"] | {"id": None}}
        yield good | {"detail": good["detail"] | {"id": ["1"]}}
        yield good | {"detail": good["detail"] | {"id": "../etc"}}
        yield good | {"detail": good["detail"] | {"description": ["text"]}}
        yield good | {"event": 7}
        yield {"ticket_id": ""}
        yield {"ticket_id": "1/../../users"}
        yield {"ticket_id": "1", "kind": "other"}

    def changed(self, **detail: Any) -> Webhook:
        """A new ticket with something else in it."""
        payload = json.loads(self.fake.customer_writes("Hello").body)
        payload["detail"] |= detail
        return self.signed(payload)

    def signed(self, payload: object) -> Webhook:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return Webhook(body, self.sign(body))

    def vectors(self) -> Sequence[Vector]:
        morning, later = "2026-11-24T09:30:00Z", "2026-11-24T09:30:05Z"
        demo = "zd-demo-Signing_Secret-0001="
        sizes = '{"ticket_id":"35436","text":"Größe 38 passt nicht – 日本語 😀"}'
        quoted = '{"ticket_id":"35436","text":"He said \\"hi\\"\\nand left"}'
        signed = [
            (PUBLIC, morning, '{"ticket_id":"35436"}', "pqKY5aRUTao4D8ANPiKAe9Toxllsr5ejJkTgO/fGMvc="),
            (PUBLIC, morning, sizes, "tNW1dX8pHKvhZEVdU/1efpYqSDx2u84yNIpbmJZZ6+M="),
            (demo, later, quoted, "Y6aZv4N2ZhLNMvgpUlXxEvcwEgQ85M/UYtXKpbdOOLo="),
            (PUBLIC, morning, "", "qHBVAz0NwDkRuggqBh2JXM+lbYkar+4okobqVl+Cct8="),
            (
                PUBLIC,
                "2021-03-25T05:09:27Z",
                '{"event":"ticket.updated","id":123}',
                "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=",
            ),
            (
                "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=",
                "2021-07-25T10:00:00Z",
                '{"say": "hello"}',
                "Rry/4TtIdFyawtXXp8QdI6tlAUUQ/5kL1OTp5qo/ZIk=",
            ),
        ]
        return [
            Vector(
                secret,
                body.encode(),
                {"X-Zendesk-Webhook-Signature": value, "X-Zendesk-Webhook-Signature-Timestamp": stamp},
                datetime.fromisoformat(stamp).timestamp(),
            )
            for secret, stamp, body, value in signed
        ]
