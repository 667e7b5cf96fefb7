"""The standard buckets."""

import os
from collections.abc import Mapping

from triage.actions import Action, Assign, Close, Reply
from triage.errors import ConfigurationError
from triage.policy.buckets import Bucket


class _DefaultBuckets:
    """Make the four standard buckets. An object, so that `default_buckets.from_env` reads like `Intercom.from_env`."""

    def __call__(self, teams: Mapping[str, str] | None = None) -> list[Bucket]:
        """Make urgent, billing, general and spam, with holding replies; spam is closed without a reply.

        Args:
            teams: Team ids for `"urgent"`, `"billing"` and `"general"`; a bucket without one is not assigned.

        Raises:
            ConfigurationError: There is no bucket of a name in `teams`, or an id is empty.
        """
        teams = dict(teams or {})
        unknown = sorted(set(teams) - {"urgent", "billing", "general"})
        if unknown:
            raise ConfigurationError(f"teams names {', '.join(unknown)}; it may name urgent, billing and general.")
        empty = sorted(name for name, team in teams.items() if not team)
        if empty:
            raise ConfigurationError(f"teams gives no id for {', '.join(empty)}; leave it out to assign to nobody.")

        def actions(name: str, reply: str) -> list[Action]:
            assign = [Assign(team=teams[name])] if name in teams else []
            return [*assign, Reply(f"Hi {{customer_name}},\n\n{reply}")]

        return [
            Bucket(
                "urgent",
                "Something that cannot wait: an outage or data loss, a security incident or an account taken over, a "
                "customer locked out, a payment failure that blocks access. Urgency in the facts, not in the tone.",
                actions(
                    "urgent",
                    "Thank you for telling us. This has gone to our on-call team, and somebody will answer "
                    "you within 15 minutes.",
                ),
            ),
            Bucket(
                "billing",
                "Money that is not blocking anybody's work right now: invoices, charges and refunds, plan changes and "
                "cancellations, payment methods, tax forms.",
                actions(
                    "billing",
                    "Thank you for your message. Our billing team has it and will answer you within one business day.",
                ),
            ),
            Bucket(
                "general",
                "Everything else that a customer may rightly ask: how something works, feature requests, "
                "feedback, bugs with a way around them, partnership questions meant seriously.",
                actions(
                    "general",
                    "Thank you for your message. Our support team has it and will answer you within four business "
                    "hours.",
                ),
            ),
            Bucket(
                "spam",
                "Not from a customer and not about our product: promotional pitches, SEO, loan and investment "
                "offers, link spam, phishing, mass mailings. A rude or unclear customer is not spam.",
                [Close()],
            ),
        ]

    def from_env(self, prefix: str) -> list[Bucket]:
        """The same with the teams of the environment: `{prefix}_TEAM_ONCALL`, `_TEAM_BILLING` and `_TEAM_SUPPORT`.

        Args:
            prefix: The vendor's name in capitals, `"INTERCOM"`.

        Raises:
            ConfigurationError: One of them is not set.
        """
        variables = {"urgent": "ONCALL", "billing": "BILLING", "general": "SUPPORT"}
        teams = {name: os.environ.get(f"{prefix}_TEAM_{variable}", "") for name, variable in variables.items()}
        missing = [f"{prefix}_TEAM_{variables[name]}" for name, team in teams.items() if not team]
        if missing:
            raise ConfigurationError(f"Set {', '.join(missing)} to the ids of your teams.")
        return self(teams)


default_buckets = _DefaultBuckets()
