"""Which parameters each Claude model takes, and what it costs. One table; what is not in it is left out of requests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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


_EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True)
class Profile:
    """How to ask a model for a short verdict, and what it can be asked.

    Args:
        max_tokens: Room for the answer.
        effort: What is sent; None sends none.
        thinking: What is sent; None sends none.
        price: None where it is not known.
        efforts: Those that the model takes; None where that is not known.
        thinkings: The types of thinking that it takes; None where that is not known.
    """

    max_tokens: int = 2_048
    effort: str | None = None
    thinking: Mapping[str, Any] | None = None
    price: Price | None = None
    efforts: tuple[str, ...] | None = None
    thinkings: tuple[str, ...] | None = None


_HAIKU_4_5 = Profile(250, None, None, Price(1, 5, 0.10, 1.25), (), ("disabled", "enabled"))

# https://platform.claude.com/docs/en/build-with-claude/effort, /thinking-troubleshooting and /about-claude/pricing.
# Haiku 5.5 thinks unless it is told not to; Sonnet 5.5 and Opus 5.5 refuse to be told so; Haiku 4.5 refuses `effort`.
PROFILES: Mapping[str, Profile] = {
    "claude-haiku-5-5": Profile(
        300,
        "low",
        {"type": "disabled"},
        Price(0.10, 0.50, 0.01, 0.125, long=Price(0.50, 2.50, 0.05, 0.625)),
        _EFFORTS,
        ("adaptive", "disabled"),
    ),
    "claude-sonnet-5-5": Profile(2_048, "low", None, Price(2, 10, 0.10, 2.50), _EFFORTS, ("adaptive", "between_tools")),
    "claude-opus-5-5": Profile(2_048, "low", None, Price(4, 20, 0.20, 5), _EFFORTS, ("adaptive",)),
    "claude-haiku-4-5": _HAIKU_4_5,
    "claude-haiku-4-5-20251001": _HAIKU_4_5,
    "claude-sonnet-4-6": Profile(
        400,
        "low",
        None,
        Price(3, 15, 0.30, 3.75),
        ("low", "medium", "high", "max"),
        ("adaptive", "disabled", "enabled"),
    ),
}
UNKNOWN = Profile()
