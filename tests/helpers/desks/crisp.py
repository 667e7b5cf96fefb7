"""Crisp, as the shared tests need it."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from tests.helpers.desks.base import BASE_URL, Desk, Vector
from triage.testing import FakeCrisp, Webhook
from triage.vendors import Crisp

KEY = "7d1f0c52a9e84b63b1c4f0de95a27c38"
VISITOR = (
    '{"website_id":"8c842203-7ed8-4e29-a608-7cf78a7d2fcc","event":"message:send","data":'
    '{"website_id":"8c842203-7ed8-4e29-a608-7cf78a7d2fcc",'
    '"session_id":"session_36ba3566-9651-4790-afc8-ffedbccc317f","inbox_id":null,"type":"text","content":"TEXT",'
    '"from":"user","origin":"chat","stamped":true,"timestamp":1795478400123,"fingerprint":179547840011873,'
    '"user":{"nickname":"visitor493603","user_id":"session_36ba3566-9651-4790-afc8-ffedbccc317f"}},'
    '"timestamp":1795478400130}'
)
ESCAPED = (
    '{"website_id":"8c842203-7ed8-4e29-a608-7cf78a7d2fcc","event":"message:send","data":'
    '{"content":"caf\\u00e9 https:\\/\\/ex.example\\/a","ratio":1.0,"10":"a","2":"b"},"timestamp":1795478400990}'
)


class CrispDesk(Desk):
    """Crisp with the hooks of a plugin, or with `hook="website"` those of the website itself."""

    name = "crisp"
    vendor = Crisp
    teams: ClassVar = {
        "urgent": "00000000-0000-4000-8000-0000000002bd",
        "billing": "00000000-0000-4000-8000-0000000002be",
        "general": "00000000-0000-4000-8000-0000000002bf",
    }
    read = "GET /v1/website/*/conversation/*"
    reply = note = "POST /v1/website/*/conversation/*/message"
    human = "00000000-0000-4000-8000-00000000232a"
    webhook_has_subject = False

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fake: FakeCrisp = FakeCrisp(webhook_secret=self.secret, clock=self.clock, **options)

    def adapter(self, **overrides: Any) -> Crisp:
        settings: dict[str, Any] = {**self.fake.settings(BASE_URL), **overrides}
        return Crisp(**settings)

    def sign(self, body: bytes, secret: str | None = None, stamp: str | None = None) -> dict[str, str]:
        if self.fake.hook == "website":
            return {"X-Triage-Url-Key": secret or self.secret}
        stamp = self.format_stamp() if stamp is None else stamp
        message = b"[" + stamp.encode() + b";" + body + b"]"
        digest = hmac.new((secret or self.secret).encode(), message, hashlib.sha256).hexdigest()
        return {"X-Crisp-Signature": digest, "X-Crisp-Request-Timestamp": stamp}

    def format_stamp(self, offset: float = 0) -> str:
        return str(int((self.clock() + offset) * 1000))

    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        genuine = self.sign(body)
        value, stamp = genuine.values()

        def compute(message: bytes, algorithm: Any = hashlib.sha256) -> str:
            return hmac.new(self.secret.encode(), message, algorithm).hexdigest()

        values = {
            "empty": "",
            "wrong": "0" * 64,
            "cut": value[:-2],
            "longer": f"{value}00",
            "spaces": f" {value}",
            "not hex": "z" * 64,
            "not ASCII": "é" * 64,
            "twice": f"{value}, {value}",
            "none": "None",
            "the AI's": f"sha256={value}",
            "no brackets": compute(stamp.encode() + b";" + body),
            "the body alone": compute(body),
            "another algorithm": compute(b"[" + stamp.encode() + b";" + body + b"]", hashlib.sha1),
        }
        forged = {name: {**genuine, "X-Crisp-Signature": value} for name, value in values.items()}
        stamps = {
            "stale": self.format_stamp(-301),
            "in the future": self.format_stamp(301),
            "stale, in seconds": str(int(self.clock()) - 301),
            "not a time": "now",
            "empty time": "",
            "other digits": "１" * 13,
            "very long number": "1" * 5000,
        }
        stale = {name: self.sign(body, stamp=stamp) for name, stamp in stamps.items()}
        return {
            **forged,
            **stale,
            "absent": {},
            "a website's key": {"X-Triage-Url-Key": self.secret},
            "without the timestamp": {"X-Crisp-Signature": value},
            "another timestamp": {**genuine, "X-Crisp-Request-Timestamp": self.format_stamp(1)},
        }

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        conversation = self.fake.customer_writes("Hello").conversation_id or ""
        yield "event session:request:initiated", self.fake.ping()
        yield "event message:received", self.fake.agent_writes("Hi", conversation=conversation)
        yield "event message:received", self.fake.bot_greets()
        yield "event session:set_routing", self.fake.assign(conversation)
        yield "event ?", self.sign_payload({"event": "not a word"})
        yield "of another website", self.change_envelope(website_id="00000000-0000-4000-8000-000000000000")
        yield "of another website", self.change_message(website_id="00000000-0000-4000-8000-000000000000")
        yield "not written by a customer", self.change_message(**{"from": "operator"})
        yield "not written by a customer", self.change_message(automated=True)
        yield "type picker", self.change_message(type="picker", content={"text": "Which?"})
        yield "type carousel", self.change_message(type="carousel", content={"text": "Which?"})
        yield "type event", self.change_message(type="event", content={"namespace": "state:resolved"})
        yield "type ?", self.change_message(type="")
        yield "not written by a customer", self.change_message(type="note")
        yield "the message is empty", self.change_message(content="  ")
        yield "the message is empty", self.change_message(content={"odd": "x"})

    def malformed(self) -> Iterable[object]:
        good = json.loads(self.fake.customer_writes("Hello").body)
        data = good["data"]
        yield {}
        yield {"event": 7}
        yield good | {"data": None}
        yield good | {"data": data | {"session_id": None}}
        yield good | {"data": data | {"session_id": "../etc"}}
        yield good | {"data": data | {"session_id": "session_36ba3566/../../people"}}
        yield good | {"data": data | {"type": None}}
        yield good | {"data": data | {"from": ["user"]}}

    def change_envelope(self, **envelope: Any) -> Webhook:
        """Return the webhook of a new conversation with another envelope."""
        return self.sign_payload(json.loads(self.fake.customer_writes("Hello").body) | envelope)

    def change_message(self, **message: Any) -> Webhook:
        """Return the webhook of a new conversation with another first message."""
        payload = json.loads(self.fake.customer_writes("Hello").body)
        payload["data"] |= message
        return self.sign_payload(payload)

    def sign_payload(self, payload: object) -> Webhook:
        body = json.dumps(payload).encode()
        return Webhook(body, self.sign(body))

    def vectors(self) -> Sequence[Vector]:
        invoice = VISITOR.replace("TEXT", "Hi, where is my invoice?")
        order = VISITOR.replace("TEXT", "Ma commande n’est pas arrivée 😡 — où est-elle ?")
        samples = [
            (KEY, "1795478400456", invoice, "db74bfdd24c6a24908cd3ce732053b3bd1ad14103ca09d4bf2981b0242cf3865"),
            (
                KEY,
                "1795478400456",
                invoice,
                "DB74BFDD24C6A24908CD3CE732053B3BD1AD14103CA09D4BF2981B0242CF3865",
            ),
            (KEY, "1795478400789", order, "22d943a4e3a860f0296e4fda0e0d2afed4c124487953dca8dc0fa77cba05039a"),
            (KEY, "1795478401000", ESCAPED, "1e74a61a8aba9dc2d9d10b3e48eb912a2a3f0c54363ec57809134650299d7a35"),
            (
                "s3cr3t",
                "1700000000",
                '{"event":"message:send","data":{}}',
                "b77240fe1c1cf2b642cd55e4dd92d1873b3c6ada40f6df3dda088b0306f8f990",
            ),
        ]
        return [
            Vector(
                secret,
                body.encode(),
                {"X-Crisp-Signature": value, "X-Crisp-Request-Timestamp": stamp},
                int(stamp) / (1000 if len(stamp) > 10 else 1),
            )
            for secret, stamp, body, value in samples
        ]
