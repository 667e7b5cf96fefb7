"""The texts of the default buckets."""

from typing import Final, NamedTuple


class DefaultBucket(NamedTuple):
    """A bucket of `Buckets.default()`."""

    name: str
    description: str
    reply: str | None
    """The holding reply; None for a bucket whose conversations are closed without one."""


DEFAULT_BUCKETS: Final = (
    DefaultBucket(
        "urgent",
        "Something that cannot wait: an outage or data loss, a security incident or an account taken over, a customer "
        "locked out, a payment failure that blocks access. Urgency in the facts, not in the tone.",
        "Hi {customer_name},\n\nThank you for telling us. This has gone to our on-call team, and somebody will answer "
        "you within 15 minutes.",
    ),
    DefaultBucket(
        "billing",
        "Money that is not blocking anybody's work right now: invoices, charges and refunds, plan changes and "
        "cancellations, payment methods, tax forms.",
        "Hi {customer_name},\n\nThank you for your message. Our billing team has it and will answer you within one "
        "business day.",
    ),
    DefaultBucket(
        "general",
        "Everything else that a customer may rightly ask: how something works, feature requests, feedback, bugs with a "
        "way around them, partnership questions meant seriously.",
        "Hi {customer_name},\n\nThank you for your message. Our support team has it and will answer you within four "
        "business hours.",
    ),
    DefaultBucket(
        "spam",
        "Not from a customer and not about our product: promotional pitches, SEO, loan and investment offers, link "
        "spam, phishing, mass mailings. A rude or unclear customer is not spam.",
        None,
    ),
)
