"""Help Scout, as the shared tests need it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from tests.helpers.desks.base import BASE_URL, Desk, Vector
from triage.testing import FakeHelpScout, Webhook
from triage.vendors import HelpScout

SIDEBAR = (
    '{"ticket":{"id":"1","number":"2"},"customer":{"id":"1","fname":"Jackie","lname":"Chan",'
    '"email":"jackie.chan@somewhere.com","emails":["jackie.chan@somewhere.com"]}}'
)
"""The body of the vendor's published example."""
RAW = (
    '{"id":48213377,"number":90417,"subject":"Rückerstattung für №88213 – dringend 😡",'
    '"status":"active","mailboxId":85}'
)
"""The same JSON value as `ESCAPED`, in different bytes."""
ESCAPED = (
    '{"id":48213377,"number":90417,"subject":"R\\u00fcckerstattung f\\u00fcr \\u211688213 \\u2013 dringend '
    '\\ud83d\\ude21","status":"active","mailboxId":85}'
)
SPACED = '{ "id": 7,\n  "_links": {"self": {"href": "https:\\/\\/api.helpscout.net\\/v2\\/conversations\\/7"}} }\n'
KEY = "9f2c1e7ab4d84c0fa1e6b3d57c2098ef4a6b1d30"


class HelpScoutDesk(Desk):
    """Help Scout on its smallest plan with an API, of 200 units a minute."""

    name = "helpscout"
    vendor = HelpScout
    teams: ClassVar = {"urgent": "771201", "billing": "771202", "general": "771203"}
    read = "GET /v2/conversations/*"
    reply = "POST /v2/conversations/*/reply"
    note = "POST /v2/conversations/*/notes"
    everything: ClassVar = {"events": ["convo.created", "convo.customer.reply.created"]}
    human = "634102"
    field = "Reason"
    field_id = "105"

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fake: FakeHelpScout = FakeHelpScout(webhook_secret=self.secret, clock=self.clock, **options)

    def adapter(self, **overrides: Any) -> HelpScout:
        settings: dict[str, Any] = {**self.fake.settings(BASE_URL), **overrides}
        return HelpScout(**settings)

    def sign(self, body: bytes, secret: str | None = None, event: str = "convo.created") -> dict[str, str]:
        digest = hmac.new((secret or self.secret).encode(), body, hashlib.sha1).digest()
        return {"X-HelpScout-Event": event, "X-HelpScout-Signature": base64.b64encode(digest).decode()}

    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        good = self.sign(body)["X-HelpScout-Signature"]
        digest = base64.b64decode(good)
        sha256 = base64.b64encode(hmac.new(self.secret.encode(), body, hashlib.sha256).digest()).decode()
        # The last character before the padding carries two bits that no byte needs.
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        another = alphabet[alphabet.index(good[-2]) ^ 1]
        values = {
            "empty": "",
            "hex": digest.hex(),
            "an algorithm before it": f"sha1={good}",
            "an algorithm before hex": f"sha1={digest.hex()}",
            "wrong": base64.b64encode(bytes(20)).decode(),
            "cut": good[:-4],
            "longer": base64.b64encode(digest + b"\0").decode(),
            "no padding": good.rstrip("="),
            "another spelling": f"{good[:-2]}{another}=",
            "spaces": f" {good}",
            "junk": "!" * 28,
            "not ASCII": "é" * 28,
            "another algorithm": sha256,
            "twice": f"{good}, {good}",
            "none": "None",
        }
        event = {"X-HelpScout-Event": "convo.created"}
        forged = {name: {**event, "X-HelpScout-Signature": value} for name, value in values.items()}
        return {**forged, "absent": event, "under another name": {**event, "X-Hub-Signature": good}}

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        conversation = self.fake.customer_writes("Hello").conversation_id or ""
        yield "helpscout.test", self.fake.ping()
        yield "event convo.agent.reply.created", self.fake.agent_writes("Hi", conversation=conversation)
        yield (
            "event convo.customer.reply.created",
            self.fake.customer_writes("Still there?", conversation=conversation),
        )
        yield "event convo.assigned", self.fake.assign(conversation)
        yield "event convo.ai-answers.created", self.fake.bot_greets()
        yield "event ?", self.sign_payload({"id": 1}, event="not a word")
        yield "event convo.deleted", self.sign_payload({"id": 1}, event="convo.deleted")
        yield "not written by a customer", self.change_thread(createdBy={"type": "user", "id": 634102})
        yield "not written by a customer", self.change_thread(createdBy={"type": "system_user", "id": 7})
        yield "not written by a customer", self.change_thread(type="note")
        yield (
            "not written by a customer",
            self.change_conversation(_embedded=None, createdBy={"type": "user", "id": 634102}),
        )
        yield "state draft", self.change_conversation(state="draft")
        yield "status spam", self.change_conversation(status="spam")
        yield "the message is empty", self.fake.customer_writes("   ")

    def malformed(self) -> Iterable[object]:
        good = json.loads(self.fake.customer_writes("Hello").body)
        yield {}
        yield {"url": "https://api.helpscout.net/v2/conversations/1"}
        yield json.loads(SIDEBAR)
        yield good | {"id": None}
        yield good | {"id": ["1"]}
        yield good | {"id": "../etc"}
        yield good | {"id": "1/../../customers"}

    def change_conversation(self, **conversation: Any) -> Webhook:
        """Return the webhook of a new conversation with other fields."""
        return self.sign_payload(json.loads(self.fake.customer_writes("Hello").body) | conversation)

    def change_thread(self, **thread: Any) -> Webhook:
        """Return the webhook of a new conversation with another first thread."""
        payload = json.loads(self.fake.customer_writes("Hello").body)
        payload["_embedded"]["threads"][0] |= thread
        return self.sign_payload(payload)

    def sign_payload(self, payload: object, event: str = "convo.created") -> Webhook:
        body = json.dumps(payload).encode()
        return Webhook(body, self.sign(body, event=event))

    def vectors(self) -> Sequence[Vector]:
        signed = [
            ("your secret key", SIDEBAR, "I1KlvGppYqvFTJgJ9jezdQMDiyI="),  # the vendor's own
            ("asdffdsa", '{"id":123}', "YhXKie6t+YQPJLRzdKWwTPsJN2w="),
            (KEY, RAW, "LfkrFxQyrpJkQhC6bGPX00IyfoI="),
            (KEY, ESCAPED, "L3BUQHYlUtGK9Qh87ELOqU7wV0c="),
            ("webhook-secret", SPACED, "8nIrE4Hu2m4oRi/4Emja7dJhTDE="),
        ]
        return [Vector(secret, body.encode(), {"X-HelpScout-Signature": header}) for secret, body, header in signed]
