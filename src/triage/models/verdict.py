"""The classifier's answer."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

from pydantic import Field

from triage.models.base import Model
from triage.validation import StrictModel

FallbackReason: TypeAlias = Literal["no_text", "refused", "unavailable", "over_budget", "invalid_answer"]
"""Why there is no verdict. `no_text`: nobody wrote a word. `refused`: the model declined to answer. `unavailable`: the
classifier's service is down, overloaded or rejected the request, or the classifier raised an exception. `over_budget`:
the daily budget is spent. `invalid_answer`: the answer names no bucket, or the classifier raised `ClassifierError`."""

FALLBACK_REASONS: tuple[FallbackReason, ...] = get_args(FallbackReason)


class Usage(Model):
    """The tokens that a verdict used."""

    input_tokens: int = 0
    """Excludes tokens that were read from or written to the cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Verdict(StrictModel):
    """The bucket that a classifier chose for a conversation, with its confidence, reason and cost.

    Raises:
        ConfigurationError: There is no field of that name, or a value is out of range.
    """

    example = "Verdict(bucket='billing', confidence=0.9)"

    bucket: str
    confidence: float = Field(default=1.0, ge=0, le=1)
    """A score, not a probability, until it is calibrated on your own messages."""
    reason: str = Field(default="", repr=False)
    """One sentence. A model wrote it about untrusted text, so use it in internal notes only; `repr()` omits it. The
    reason of a fallback verdict is in our own words, and `repr()` shows it."""
    extra: dict[str, str] = Field(default_factory=dict, repr=False)
    fallback_reason: FallbackReason | None = None
    """Set if there is no usable verdict: `bucket` is the fallback bucket, and `reason` explains why in a sentence."""
    retry_after: float | None = None
    """Seconds after which the classifier's service can be called again, if it said so. Only for `unavailable`."""
    model: str | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    """None if the model's price is not known."""
    latency: float = 0.0
    """Seconds."""
    prompt_version: str | None = None
    """A hash of everything that the prompt contains except the customer text."""
    parts: tuple["Verdict", ...] = Field(default=(), repr=False)
    """The verdicts that a `Cascade` or a `Vote` combined into this one, in the order in which they were requested."""
    allow_close: bool = True
    """False if this verdict alone must not close or hide a conversation. The Router then skips `Close`, `MarkSpam` and
    `Snooze`."""
    replayed: bool = False
    """True if the verdict was read from a recording, so that its `cost_usd` was not paid again."""

    @property
    def fallback(self) -> bool:
        """True if there is no usable verdict, see `fallback_reason`."""
        return self.fallback_reason is not None

    @property
    def paid_usd(self) -> float | None:
        """The price that was paid for this verdict now: `cost_usd` without the parts that were read from a recording.

        None if it is not known.
        """
        if self.replayed:
            return 0.0
        if not self.parts:
            return self.cost_usd
        costs = [part.paid_usd for part in self.parts]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        yield from super().__repr_args__()
        if self.fallback:
            yield "reason", self.reason
