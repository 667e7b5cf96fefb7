"""Which parameters each Claude model takes, and what it costs. One table; what is not in it is left out of requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from triage.models import Usage

PRICES_OF = "2026-11-24"
"""The day of the prices below."""

_LONG_PROMPT = 100_000  # tokens; above it some models have another price


@dataclass(frozen=True)
class Price:
    """What a model costs, in USD per million tokens.

    Args:
        input: Prompt tokens.
        output: Answer tokens.
        cache_read: Prompt tokens found in the cache.
        cache_write: Prompt tokens put into the cache, for five minutes.
        long: The price of prompts over 100,000 tokens, where it is another.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float
    long: "Price | None" = None

    def of(self, usage: Usage) -> float:
        """The cost of a call, in USD."""
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        if self.long is not None and prompt > _LONG_PROMPT:
            return replace(self.long, long=None).of(usage)
        dollars = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * self.cache_read
            + usage.cache_write_tokens * self.cache_write
        )
        return dollars / 1_000_000


@dataclass(frozen=True)
class Profile:
    """How to ask a model for a short verdict."""

    max_tokens: int = 2_048
    effort: str | None = None
    thinking: Mapping[str, Any] | None = None
    price: Price | None = field(default=None, compare=False)


# https://platform.claude.com/docs/en/build-with-claude/effort and /about-claude/pricing. Haiku 5.5 thinks unless it is
# told not to; Sonnet 5.5 refuses to be told so; Haiku 4.5 refuses `effort`.
PROFILES: Mapping[str, Profile] = {
    "claude-haiku-5-5": Profile(
        300, "low", {"type": "disabled"}, Price(0.10, 0.50, 0.01, 0.125, long=Price(0.50, 2.50, 0.05, 0.625))
    ),
    "claude-sonnet-5-5": Profile(2_048, "low", None, Price(2, 10, 0.10, 2.50)),
    "claude-opus-5-5": Profile(2_048, "low", None, Price(4, 20, 0.20, 5)),
    "claude-haiku-4-5": Profile(250, None, None, Price(1, 5, 0.10, 1.25)),
    "claude-haiku-4-5-20251001": Profile(250, None, None, Price(1, 5, 0.10, 1.25)),
    "claude-sonnet-4-6": Profile(400, "low", None, Price(3, 15, 0.30, 3.75)),
}
UNKNOWN = Profile()
