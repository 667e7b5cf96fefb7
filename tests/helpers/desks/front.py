"""Front, as the shared cases need it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from tests.helpers.desks.base import BASE_URL, Desk, Vector
from triage.testing import FakeFront, Webhook
from triage.vendors import Front

KEY = "8f14e45fceea167a5a36dedd4bea2543"
SYNC = b'{"type":"sync","authorization":{"id":"cmp_abc"}}'
RECEIVED = (
    '{"type":"inbound_received","authorization":{"id":"cmp_abc"},"payload":{"id":"evt_4ckcra8e","type":"inbound",'
    '"emitted_at":1764000001.25,"target":{"_meta":{"type":"message"},"data":{"id":"msg_1q15qmtq","is_inbound":true,'
    '"text":"Où est ma facture nº 42 ? 料金が高い 😡"}}}}'
).encode()
TAGGED = (
    b'{ "type": "tag_added",\n  "authorization": {"id": "cmp_abc"},\n'
    b'  "payload": {"id": "evt_2", "note": "caf\\u00e9"} }\n'
)


class FrontDesk(Desk):
    """Front with the webhook of an application; `source="rule"` for that of a rule."""

    name = "front"
    vendor = Front
    teams: ClassVar = {"urgent": "inb_oncall", "billing": "inb_billing", "general": "inb_support"}
    read = "GET /conversations/*"
    reply = "POST /conversations/*/messages"
    note = "POST /conversations/*/comments"
    everything: ClassVar = {"messages": "all"}
    human = "tea_9002"
    queues = True

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fake: FakeFront = FakeFront(webhook_secret=self.secret, clock=self.clock, **options)

    def adapter(self, **overrides: Any) -> Front:
        settings: dict[str, Any] = {**self.fake.settings(BASE_URL), **overrides}
        return Front(**settings)

    def sign(self, body: bytes, secret: str | None = None, stamp: str | None = None) -> dict[str, str]:
        key = (secret or self.secret).encode()
        if self.fake.source == "rule":
            return {"X-Front-Signature": base64.b64encode(hmac.new(key, body, hashlib.sha1).digest()).decode()}
        stamp = self.stamp() if stamp is None else stamp
        digest = hmac.new(key, stamp.encode() + b":" + body, hashlib.sha256).digest()
        return {"X-Front-Signature": base64.b64encode(digest).decode(), "X-Front-Request-Timestamp": stamp}

    def stamp(self, late: float = 0) -> str:
        return str(int((self.clock() + late) * 1000))

    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        good = self.sign(body)
        value, stamp = good.values()
        key = self.secret.encode()

        def made(message: bytes, algorithm: Any = hashlib.sha256) -> str:
            return base64.b64encode(hmac.new(key, message, algorithm).digest()).decode()

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
            "the body alone": made(body),
            "no colon": made(stamp.encode() + body),
            "a dot between": made(stamp.encode() + b"." + body),
            "another algorithm": made(stamp.encode() + b":" + body, hashlib.sha1),
            "a rule's": made(body, hashlib.sha1),
        }
        forged = {name: {**good, "X-Front-Signature": value} for name, value in values.items()}
        stamps = {
            "stale": self.stamp(-301),
            "of the future": self.stamp(301),
            "no time": "now",
            "an empty time": "",
            "seconds": str(int(self.clock())),
            "a time in other digits": "１" * 13,
            "a very long time": "1" * 5000,
        }
        late = {name: self.sign(body, stamp=stamp) for name, stamp in stamps.items()}
        return {
            **forged,
            **late,
            "absent": {},
            "a rule's without a time": {"X-Front-Signature": made(body, hashlib.sha1)},
            "without the time": {"X-Front-Signature": value},
            "another time": {**good, "X-Front-Request-Timestamp": self.stamp(1)},
        }

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        conversation = self.fake.customer_writes("Hello").conversation_id or ""
        yield "sync", self.fake.ping()
        yield "event outbound_sent", self.fake.agent_writes("Hi", conversation=conversation)
        yield "event outbound_sent", self.fake.bot_greets()
        yield "event assignee_changed", self.fake.assign(conversation)
        yield "event ?", self.signed({"type": "not a word"})
        yield "event inbound", self.signed(json.loads(self.fake.customer_writes("Hello").body)["payload"])
        yield "of another company", self.changed(authorization={"id": "cmp_other"})
        yield "of another company", self.changed(authorization=None)
        yield "not written by a customer", self.changed_message(is_inbound=False)
        yield "not written by a customer", self.changed_message(author={"id": "tea_9002", "type": "user"})
        yield "a later message of the conversation", self.changed_message(created_at=self.clock() + 61)
        yield "empty text", self.fake.customer_writes("   ")

    def malformed(self) -> Iterable[object]:
        good = json.loads(self.fake.customer_writes("Hello").body)
        payload = good["payload"]
        yield {}
        yield {"type": 7}
        yield good | {"authorization": "cmp_4thp0"}
        yield good | {"payload": None}
        yield good | {"payload": payload | {"id": None}}
        yield good | {"payload": payload | {"conversation": None}}
        yield good | {"payload": payload | {"conversation": {"id": "../etc"}}}
        yield good | {"payload": payload | {"conversation": {"id": "cnv_1/../../teammates"}}}
        yield good | {"payload": payload | {"target": 7}}
        yield json.loads(self.changed_message(id=None).body)
        yield json.loads(self.changed_message(text=["text"]).body)

    def changed(self, **envelope: Any) -> Webhook:
        """A new conversation with something else around it."""
        return self.signed(json.loads(self.fake.customer_writes("Hello").body) | envelope)

    def changed_message(self, **message: Any) -> Webhook:
        """A new conversation with something else in its first message."""
        payload = json.loads(self.fake.customer_writes("Hello").body)
        payload["payload"]["target"]["data"] |= message
        return self.signed(payload)

    def signed(self, payload: object) -> Webhook:
        body = json.dumps(payload).encode()
        return Webhook(body, self.sign(body))

    def vectors(self) -> Sequence[Vector]:
        signed = [
            (1764000000123, SYNC, "pBooLUMrAhWeN5zmtokfqxdXPT7hHY/z30uN+09zqSA="),
            (1764000001250, RECEIVED, "If8qpzJ+Hu5zdnG8dXk8lcztjq0yRVK/6B2N5KeKWYE="),
            (1764000002000, TAGGED, "s5CfFbYA3ZM6wczGyOSU8UK90h7IMSxcv/88EiSu7GA="),
            (1764000003000, b"", "7J8n7bx38o3EnM4sqeIeLA6RREVarwuxudj5GEZbiYc="),
        ]
        return [
            Vector(KEY, body, {"X-Front-Signature": value, "X-Front-Request-Timestamp": str(stamp)}, stamp / 1000)
            for stamp, body, value in signed
        ]
