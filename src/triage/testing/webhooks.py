"""Signed webhooks for unit tests that need no fake help desk."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Literal, TypeAlias

from triage.testing.desks.base import FakeHelpDesk
from triage.testing.desks.crisp import FakeCrisp
from triage.testing.desks.front import FakeFront
from triage.testing.desks.helpscout import FakeHelpScout
from triage.testing.desks.intercom import FakeIntercom
from triage.testing.desks.records import Webhook
from triage.testing.desks.zendesk import FakeZendesk

VendorName: TypeAlias = Literal["crisp", "front", "helpscout", "intercom", "zendesk"]
"""A help desk."""
WebhookKind: TypeAlias = Literal["created", "replied", "agent_replied", "assigned", "bot", "ping"]
"""The event that a webhook reports."""

TEXT = "I was charged twice for order 1042. Can you refund me?"
"""The message unless another one is passed."""

# Each vendor's fake, and the name of the argument for the secret that signs its webhooks.
_FAKES: Mapping[VendorName, tuple[Callable[..., FakeHelpDesk], str]] = {
    "crisp": (FakeCrisp, "webhook_secret"),
    "front": (FakeFront, "webhook_secret"),
    "helpscout": (FakeHelpScout, "webhook_secret"),
    "intercom": (FakeIntercom, "client_secret"),
    "zendesk": (FakeZendesk, "signing_secret"),
}

# Each webhook belongs to a different conversation, so that a Router never mistakes one for a duplicate.
_first_ids = count(1_000_000, 1_000)


def create_webhook(
    vendor: VendorName,
    kind: WebhookKind,
    *,
    secret: str,
    text: str = TEXT,
    name: str | None = "Mira Probe",
    email: str | None = "mira@example.com",
    html: bool = False,
    attachments: Sequence[str] = (),
    subject: str = "",
    **options: Any,
) -> Webhook:
    """Return a signed webhook of a new conversation.

    Args:
        vendor: The help desk.
        kind: The event: a customer started a conversation (`"created"`) or continued it (`"replied"`), a human replied
            (`"agent_replied"`) or was assigned (`"assigned"`), the vendor's bot wrote the first message (`"bot"`), or
            the vendor tests the address (`"ping"`).
        secret: The secret that signs the webhook; pass the same one to the adapter under test.
        text: The message: plain text, or HTML with `html=True`.
        name: The customer's name.
        email: The customer's email address.
        html: True if `text` is HTML.
        attachments: File names.
        subject: The subject, which makes the conversation an email.
        options: Further arguments of the vendor's fake: `app_id`, `api_version`, `clock`.
    """
    fake_class, secret_name = _FAKES[vendor]
    fake = fake_class(**{"first_id": next(_first_ids), secret_name: secret} | options)
    return write_webhook(
        fake, kind, text=text, name=name, email=email, html=html, attachments=attachments, subject=subject
    )


def write_webhook(
    fake: FakeHelpDesk,
    kind: WebhookKind,
    *,
    text: str = TEXT,
    name: str | None = "Mira Probe",
    email: str | None = "mira@example.com",
    html: bool = False,
    attachments: Sequence[str] = (),
    subject: str = "",
) -> Webhook:
    """Start a conversation at a fake help desk, and return the webhook of an event in it.

    Args:
        fake: The fake, which signs the webhook.
        kind: The event, as for `create_webhook`.
        text: The message: plain text, or HTML with `html=True`.
        name: The customer's name.
        email: The customer's email address.
        html: True if `text` is HTML.
        attachments: File names.
        subject: The subject, which makes the conversation an email.
    """
    if kind == "ping":
        return fake.ping()
    if kind == "bot":
        return fake.bot_greets(text, name=name, email=email)
    if kind == "created":
        return fake.customer_writes(text, name=name, email=email, html=html, attachments=attachments, subject=subject)
    started = fake.customer_writes("Hello", name=name, email=email, subject=subject)
    conversation = started.conversation_id or ""
    if kind == "replied":
        return fake.customer_writes(text, conversation=conversation, html=html, attachments=attachments)
    if kind == "agent_replied":
        return fake.agent_writes(text, conversation=conversation, html=html)
    return fake.assign(conversation)


def find_secret(vendor: VendorName) -> str:
    """Return the secret with which a vendor's fake signs webhooks unless another one is passed.

    Args:
        vendor: The help desk.
    """
    fake_class, secret_name = _FAKES[vendor]
    return str(getattr(fake_class(), secret_name))
