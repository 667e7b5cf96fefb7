"""Front, as the shared tests need it."""

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
    """Front with the webhooks of an application, or with `source="rule"` those of a rule."""

    name = "front"
    vendor = Front
    teams: ClassVar = {"urgent": "inb_oncall", "billing": "inb_billing", "general": "inb_support"}
    read = "GET /conversations/*"
    reply = "POST /conversations/*/messages"
    note = "POST /conversations/*/comments"
    everything: ClassVar = {"messages": "all"}
    human = "tea_9002"

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
        stamp = self.format_stamp() if stamp is None else stamp
        digest = hmac.new(key, stamp.encode() + b":" + body, hashlib.sha256).digest()
        return {"X-Front-Signature": base64.b64encode(digest).decode(), "X-Front-Request-Timestamp": stamp}

    def format_stamp(self, offset: float = 0) -> str:
        return str(int((self.clock() + offset) * 1000))

    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        genuine = self.sign(body)
        value, stamp = genuine.values()
        key = self.secret.encode()

        def compute(message: bytes, algorithm: Any = hashlib.sha256) -> str:
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
            "the body alone": compute(body),
            "no colon": compute(stamp.encode() + body),
            "a dot between": compute(stamp.encode() + b"." + body),
            "another algorithm": compute(stamp.encode() + b":" + body, hashlib.sha1),
            "a rule's": compute(body, hashlib.sha1),
        }
        forged = {name: {**genuine, "X-Front-Signature": value} for name, value in values.items()}
        stamps = {
            "stale": self.format_stamp(-301),
            "in the future": self.format_stamp(301),
            "not a time": "now",
            "empty time": "",
            "seconds": str(int(self.clock())),
            "other digits": "１" * 13,
            "very long number": "1" * 5000,
        }
        stale = {name: self.sign(body, stamp=stamp) for name, stamp in stamps.items()}
        return {
            **forged,
            **stale,
            "absent": {},
            "a rule's without a timestamp": {"X-Front-Signature": compute(body, hashlib.sha1)},
            "without the timestamp": {"X-Front-Signature": value},
            "another timestamp": {**genuine, "X-Front-Request-Timestamp": self.format_stamp(1)},
        }

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        conversation = self.fake.customer_writes("Hello").conversation_id or ""
        yield "sync", self.fake.ping()
        yield "event outbound_sent", self.fake.agent_writes("Hi", conversation=conversation)
        yield "event outbound_sent", self.fake.bot_greets()
        yield "event assignee_changed", self.fake.assign(conversation)
        yield "event ?", self.sign_payload({"type": "not a word"})
        yield "event inbound", self.sign_payload(json.loads(self.fake.customer_writes("Hello").body)["payload"])
        yield "of another company", self.change_envelope(authorization={"id": "cmp_other"})
        yield "of another company", self.change_envelope(authorization=None)
        yield "not written by a customer", self.change_message(is_inbound=False)
        yield "not written by a customer", self.change_message(author={"id": "tea_9002", "type": "user"})
        yield "a message to the customer could not be delivered (bounce)", self.fake.fail_delivery(conversation)
        yield "the message is empty", self.fake.customer_writes("   ")

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
        yield json.loads(self.change_message(text=["text"]).body)

    def change_envelope(self, **envelope: Any) -> Webhook:
        """Return the webhook of a new conversation with another envelope."""
        return self.sign_payload(json.loads(self.fake.customer_writes("Hello").body) | envelope)

    def change_message(self, **message: Any) -> Webhook:
        """Return the webhook of a new conversation with another first message."""
        payload = json.loads(self.fake.customer_writes("Hello").body)
        payload["payload"]["target"]["data"] |= message
        return self.sign_payload(payload)

    def sign_payload(self, payload: object) -> Webhook:
        body = json.dumps(payload).encode()
        return Webhook(body, self.sign(body))

    def vectors(self) -> Sequence[Vector]:
        samples = [
            (1764000000123, SYNC, "pBooLUMrAhWeN5zmtokfqxdXPT7hHY/z30uN+09zqSA="),
            (1764000001250, RECEIVED, "If8qpzJ+Hu5zdnG8dXk8lcztjq0yRVK/6B2N5KeKWYE="),
            (1764000002000, TAGGED, "s5CfFbYA3ZM6wczGyOSU8UK90h7IMSxcv/88EiSu7GA="),
            (1764000003000, b"", "7J8n7bx38o3EnM4sqeIeLA6RREVarwuxudj5GEZbiYc="),
        ]
        return [
            Vector(KEY, body, {"X-Front-Signature": value, "X-Front-Request-Timestamp": str(stamp)}, stamp / 1000)
            for stamp, body, value in samples
        ]
