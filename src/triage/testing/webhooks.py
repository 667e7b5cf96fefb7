"""Signed webhooks for unit tests that need no fake help desk."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Literal, TypeAlias

from triage.testing.desks.base import FakeHelpDesk, Webhook
from triage.testing.desks.crisp import FakeCrisp
from triage.testing.desks.front import FakeFront
from triage.testing.desks.helpscout import FakeHelpScout
from triage.testing.desks.intercom import FakeIntercom
from triage.testing.desks.zendesk import FakeZendesk

VendorName: TypeAlias = Literal["crisp", "front", "helpscout", "intercom", "zendesk"]
WebhookKind: TypeAlias = Literal["created", "replied", "agent_replied", "assigned", "bot", "ping"]

# The class, and the argument that it calls its secret.
_FAKES: Mapping[VendorName, tuple[Callable[..., FakeHelpDesk], str]] = {
    "crisp": (FakeCrisp, "webhook_secret"),
    "front": (FakeFront, "webhook_secret"),
    "helpscout": (FakeHelpScout, "webhook_secret"),
    "intercom": (FakeIntercom, "client_secret"),
    "zendesk": (FakeZendesk, "signing_secret"),
}

# Each webhook is of a conversation of its own, so that a Router takes none of them for a duplicate.
_first_ids = count(1_000_000, 1_000)


def create_webhook(
    vendor: VendorName,
    kind: WebhookKind,
    *,
    secret: str,
    text: str = "I was charged twice for order 1042. Can you refund me?",
    name: str | None = "Mira Probe",
    email: str | None = "mira@example.com",
    html: bool = False,
    attachments: Sequence[str] = (),
    subject: str = "",
    **workspace: Any,
) -> Webhook:
    """Make a genuine webhook of a conversation that nobody has seen before.

    Args:
        vendor: The help desk.
        kind: What happened: a customer began a conversation (`"created"`) or went on with it (`"replied"`), a human
            answered or took it, the vendor's bot greeted, or the vendor tests the address (`"ping"`).
        secret: What it is signed with: the secret that the adapter under test was given.
        text: What was written: plain text, or HTML with `html=True`.
        name: The customer's.
        email: The customer's.
        html: True if `text` is HTML.
        attachments: Names of files.
        subject: One with a subject is an e-mail.
        workspace: Further arguments of the vendor's fake: `app_id`, `api_version`, `clock`.
    """
    make, secret_name = _FAKES[vendor]
    fake = make(**{"first_id": next(_first_ids), secret_name: secret} | workspace)
    match kind:
        case "ping":
            return fake.ping()
        case "bot":
            return fake.bot_greets(text, name=name, email=email)
        case "created":
            return fake.customer_writes(
                text, name=name, email=email, html=html, attachments=attachments, subject=subject
            )
        case _:
            fake.customer_writes("Hello", name=name, email=email, subject=subject)
    conversation = next(iter(fake.conversations))
    match kind:
        case "replied":
            return fake.customer_writes(text, conversation=conversation, html=html, attachments=attachments)
        case "agent_replied":
            return fake.agent_writes(text, conversation=conversation, html=html)
        case _:
            return fake.assign(conversation)
