"""The parameters and prices of the Claude models, in one table.

Requests leave out every parameter that the table does not list for a model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from triage.models import Usage

PRICES_DATE = "2026-11-24"
"""The date of the prices below."""

_LONG_PROMPT = 100_000  # tokens; some models charge more for longer prompts


@dataclass(frozen=True)
class Price:
    """The price of a model, in US dollars per million tokens.

    Args:
        input: Price of prompt tokens.
        output: Price of output tokens.
        cache_read: Price of prompt tokens that are read from the cache.
        cache_write: Price of prompt tokens that are written to the cache, for five minutes.
        long: Price for prompts of more than 100,000 tokens, if it differs.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float
    long: "Price | None" = None

    def calculate_cost(self, usage: Usage) -> float:
        """Return the cost of a call in US dollars.

        Args:
            usage: The tokens of the call.
        """
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        if self.long is not None and prompt > _LONG_PROMPT:
            return replace(self.long, long=None).calculate_cost(usage)
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
    """The settings with which a model returns short verdicts, and the values that its parameters accept.

    Args:
        max_tokens: The limit for the output.
        effort: The effort to request. None leaves the parameter out.
        thinking: The thinking to request. None leaves the parameter out.
        price: None if it is unknown.
        efforts: The efforts that the model supports. None if they are unknown.
        thinking_types: The types of thinking that the model supports. None if they are unknown.
    """

    max_tokens: int = 2_048
    effort: str | None = None
    thinking: Mapping[str, Any] | None = None
    price: Price | None = None
    efforts: tuple[str, ...] | None = None
    thinking_types: tuple[str, ...] | None = None


_HAIKU_4_5 = Profile(250, None, None, Price(1, 5, 0.10, 1.25), (), ("disabled", "enabled"))

# https://platform.claude.com/docs/en/build-with-claude/effort, /thinking-troubleshooting and /about-claude/pricing.
# Haiku 5.5 thinks by default unless `thinking` disables it. Sonnet 5.5 and Opus 5.5 reject "disabled". Haiku 4.5
# rejects `effort`.
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
"""The known models by id."""

UNKNOWN = Profile()
"""The profile of every other model."""

# Bedrock, Vertex AI and gateways: "us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5@20251001".
_PLATFORM_ID = re.compile(r"(?:\S*[./])?(claude-[a-z0-9-]+?)(?:[@-]\d{8})?(?:-v\d+(?::\d+)?)?")


def get_profile(model: str) -> Profile:
    """Return the profile of a model. On another platform, it has the same parameters but an unknown price.

    Args:
        model: The id of the model, on Anthropic's API or on another platform.
    """
    if model in PROFILES:
        return PROFILES[model]
    match = _PLATFORM_ID.fullmatch(model)
    return UNKNOWN if match is None else replace(PROFILES.get(match[1], UNKNOWN), price=None)
