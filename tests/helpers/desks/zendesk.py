"""Zendesk, as the shared tests need it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.helpers.desks.base import BASE_URL, Desk, Vector
from triage import Action, Assign, Close, MarkSpam
from triage.testing import FakeZendesk, Webhook
from triage.testing.contract import Change
from triage.vendors import Zendesk

PUBLIC = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
"""The vendor's published secret, which signs only tests of webhooks."""


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
            # The adapter rejects this secret as a setting, because it verifies tests with it in any case.
            settings["signing_secret"] = self.secret
        return Zendesk(**settings)

    def sign(self, body: bytes, secret: str | None = None, stamp: str | None = None) -> dict[str, str]:
        stamp = self.format_stamp() if stamp is None else stamp
        digest = hmac.new((secret or self.secret).encode(), stamp.encode() + body, hashlib.sha256).digest()
        return {
            "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }

    def format_stamp(self, offset: float = 0) -> str:
        return datetime.fromtimestamp(self.clock() + offset, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        genuine = self.sign(body)
        value, stamp = genuine.values()
        key = self.secret.encode()

        def compute(message: bytes, algorithm: Any = hashlib.sha256, by: bytes = key) -> str:
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
            "the time after the body": compute(body + stamp.encode()),
            "the body alone": compute(body),
            "a dot between": compute(stamp.encode() + b"." + body),
            "another algorithm": compute(stamp.encode() + body, hashlib.sha1),
            "a decoded secret": compute(stamp.encode() + body, by=base64.b64decode("triagetestsecret")),
            "a re-serialized body": compute(stamp.encode() + json.dumps(json.loads(body), indent=1).encode()),
        }
        forged = {name: {**genuine, "X-Zendesk-Webhook-Signature": value} for name, value in values.items()}
        stamps = {
            "stale": self.format_stamp(-301),
            "in the future": self.format_stamp(301),
            "not a time": "now",
            "impossible time": "2026-13-24T09:00:00Z",
            "empty time": "",
            "seconds": str(int(self.clock())),
            "no time zone": self.format_stamp()[:-1],
            "other digits": "２０２６-11-24T09:00:00Z",
        }
        late = {name: self.sign(body, stamp=stamp) for name, stamp in stamps.items()}
        return {
            **forged,
            **late,
            "absent": {},
            "without the timestamp": {"X-Zendesk-Webhook-Signature": value},
            "another timestamp": {**genuine, "X-Zendesk-Webhook-Signature-Timestamp": self.format_stamp(1)},
            "a stale test": self.sign(body, PUBLIC, self.format_stamp(-301)),
        }

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        conversation = self.fake.customer_writes("Hello").conversation_id or ""
        yield "the test of a webhook that is not saved yet", self.fake.ping()
        yield "event ticket.comment_added", self.fake.agent_writes("Hi", conversation=conversation)
        yield "event ticket.comment_added", self.fake.customer_writes("Still there?", conversation=conversation)
        yield "event ticket.agent_assignment_changed", self.fake.assign(conversation)
        yield "event messaging_ticket.message_added", self.fake.bot_greets()
        yield "event ?", self.sign_payload({"type": "zen:event-type:not a word"})
        yield "event article.published", self.sign_payload({"type": "zen:event-type:article.published"})
        yield "made by ourselves", self.change_detail(actor_id="9001", submitter_id="9001", via={"channel": "web"})
        # A genuine payload that is signed with the public secret counts as a test only.
        body = self.fake.customer_writes("Hello").body
        yield "the test of a webhook that is not saved yet", Webhook(body, self.sign(body, PUBLIC))
        template = {"ticket_id": "{{ticket.id}}", "updated_at": "{{ticket.updated_at_with_timestamp}}"}
        yield "the test of a trigger's webhook", self.sign_payload(template)
        trigger_body = {"ticket_id": "35001", "updated_at": "2026-11-24T09:00:00Z"}
        yield "made by ourselves", self.sign_payload(trigger_body | {"actor_id": "9001"})
        yield "made by ourselves", self.sign_payload(trigger_body | {"comment_author_id": "9001"})
        yield "not a public comment of a customer", self.sign_payload(trigger_body | {"comment_public": "false"})
        yield "not a public comment of a customer", self.sign_payload(trigger_body | {"actor_role": "Agent"})

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

    def changes(self, conversation_id: str) -> Sequence[Change]:
        # A solved ticket has an assignee, at Zendesk and in the update.
        closing: frozenset[type[Action]] = frozenset({Close, MarkSpam})
        return [
            replace(change, overlaps=change.overlaps | closing) if isinstance(change.action, Assign) else change
            for change in super().changes(conversation_id)
        ]

    def change_detail(self, **detail: Any) -> Webhook:
        """Return the webhook of a new ticket with other details."""
        payload = json.loads(self.fake.customer_writes("Hello").body)
        payload["detail"] |= detail
        return self.sign_payload(payload)

    def sign_payload(self, payload: object) -> Webhook:
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
