"""The settings of a `Claude`, checked at construction, and what follows from them for each model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from triage.classifiers.claude.examples import ExampleSource
from triage.classifiers.claude.features import Feature
from triage.classifiers.claude.models import UNKNOWN, Price, get_profile
from triage.errors import ConfigurationError
from triage.policy.check import describe_type

_MIN_ATTEMPT_TIMEOUT = 10.0  # seconds; a verdict rarely takes longer, and a first call compiles the schema
_FIRST_SHARE = 2 / 3  # of the deadline; the rest is for a second attempt or for the fallback model
_RESERVED_NAMES = ("reason", "label", "confidence", "bucket", "customer_name")
_CLAUDE_MODEL = re.compile(r"\S*claude-\S+|arn:\S+")
_DATE = re.compile(r"[-@]\d{8}(?=$|-)")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The parameters of requests to one model.

    Attributes:
        id: The id of the model.
        price: None if it is unknown.
        max_tokens: The limit for the output.
        max_tokens_with_thinking: The limit if the API rejects the parameter that disables thinking.
        effort: None leaves the parameter out.
        thinking: None leaves the parameter out.
        left_out: The features that requests never contain.
        optional: The features that requests may leave out if the API rejects them. An explicit setting is never left
            out.
    """

    id: str
    price: Price | None
    max_tokens: int
    max_tokens_with_thinking: int
    effort: str | None
    thinking: Mapping[str, Any] | None
    left_out: frozenset[Feature]
    optional: frozenset[Feature]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a `Claude`.

    Attributes:
        models: The model and, if there is one, the fallback model.
        deadline: Seconds for a verdict.
        attempt_timeout: Seconds for one attempt, or None to derive them from the deadline.
        instructions: Text to append to the system prompt.
        extra: The further fields to request.
        examples: Finds examples for the prompt; None if it has none.
    """

    models: tuple[ModelSettings, ...]
    deadline: float
    attempt_timeout: float | None
    instructions: str
    extra: Mapping[str, str | Sequence[str]]
    examples: ExampleSource | None

    @property
    def default_attempt_timeout(self) -> float:
        """Seconds for one attempt if neither `attempt_timeout` nor the client sets a limit."""
        return max(_MIN_ATTEMPT_TIMEOUT, self.deadline * _FIRST_SHARE)

    def get_end(self, model: ModelSettings) -> float:
        """Return the seconds after the start until which a model may be asked.

        Args:
            model: One of the models.
        """
        return self.deadline if model is self.models[-1] else self.deadline * _FIRST_SHARE


def create_settings(
    *,
    model: str,
    fallback_model: str | None,
    api_key: str | None,
    has_client: bool,
    deadline: float,
    attempt_timeout: float | None,
    instructions: str,
    extra: Mapping[str, str | Sequence[str]],
    examples: ExampleSource | None,
    prices: Mapping[str, Price],
    max_tokens: int | None,
    effort: str | None,
    thinking: Mapping[str, Any] | None,
    structured_outputs: bool | None,
) -> Settings:
    """Check the arguments of `Claude` and return its settings.

    Raises:
        ConfigurationError: A setting is invalid, or the model does not support it.
    """
    _check_model(model, "model")
    _check_fallback_model(fallback_model, model, has_client=has_client)
    _check_key(api_key, has_client=has_client)
    _check_limits(deadline, attempt_timeout, max_tokens)
    _check_extra(extra)
    _check_examples(examples)
    _check_support(model, effort, thinking)
    if structured_outputs not in (None, True, False):
        raise ConfigurationError(
            f"Claude's structured_outputs must be True, False or None, not {structured_outputs!r}."
        )
    models = [_create_model(model, prices, structured_outputs, max_tokens, effort, thinking)]
    if fallback_model is not None:
        models.append(_create_model(fallback_model, prices, structured_outputs))
    return Settings(
        models=tuple(models),
        deadline=deadline,
        attempt_timeout=attempt_timeout,
        instructions=instructions,
        extra=dict(extra),
        examples=examples,
    )


def _create_model(
    model: str,
    prices: Mapping[str, Price],
    structured_outputs: bool | None,
    max_tokens: int | None = None,
    effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
) -> ModelSettings:
    profile = get_profile(model)
    optional: set[Feature] = {"metadata", "cache_control"}
    if structured_outputs is None:
        optional.add("format")
    if effort is None:
        optional.add("effort")
    if thinking is None:
        optional.add("thinking")
    return ModelSettings(
        id=model,
        price=prices.get(model, profile.price),
        max_tokens=max_tokens or profile.max_tokens,
        max_tokens_with_thinking=max_tokens or max(profile.max_tokens, UNKNOWN.max_tokens),
        effort=effort or profile.effort,
        thinking=thinking or profile.thinking,
        left_out=frozenset({"format"} if structured_outputs is False else ()),
        optional=frozenset(optional),
    )


def _check_model(model: object, name: str) -> None:
    if not isinstance(model, str):
        raise ConfigurationError(f"Claude's {name} must be the id of a model, not {type(model).__name__}.")
    if not model.strip():
        raise ConfigurationError(f"Claude's {name} is empty: pass a model id, such as 'claude-haiku-5-5'.")
    if model.split() != [model]:
        raise ConfigurationError(f"Claude's {name} contains whitespace: pass a model id, such as 'claude-haiku-5-5'.")


def _check_fallback_model(fallback_model: object, model: str, *, has_client: bool) -> None:
    if fallback_model is None:
        return
    _check_model(fallback_model, "fallback_model")
    name = cast("str", fallback_model)
    # Nobody would notice a mistake before the fallback model is needed. A gateway may use any names. Do not
    # repeat the string, which could be an API key.
    if not has_client and not _CLAUDE_MODEL.fullmatch(name):
        raise ConfigurationError(
            "Claude's fallback_model is not the name of a Claude model: pass a name such as 'claude-sonnet-5-5'."
        )
    if _DATE.sub("", name) == _DATE.sub("", model):
        raise ConfigurationError(
            f"Claude's fallback_model is the same model as {model!r}: pass another one, such as 'claude-sonnet-5-5'."
        )


def _check_key(api_key: str | None, *, has_client: bool) -> None:
    if api_key is None:
        return
    if api_key.split() != [api_key]:
        raise ConfigurationError(
            "Claude's api_key is empty or contains whitespace: correct it, or omit it to use ANTHROPIC_API_KEY."
        )
    if has_client:
        raise ConfigurationError("Claude's api_key has no effect on a client that you pass in: pass one or the other.")


def _check_limits(deadline: float, attempt_timeout: float | None, max_tokens: int | None) -> None:
    if not 0 < deadline < float("inf"):
        raise ConfigurationError(f"Claude's deadline must be a positive number of seconds, not {deadline}.")
    if attempt_timeout is not None and not 0 < attempt_timeout <= deadline:
        raise ConfigurationError(
            f"Claude's attempt_timeout must be a positive number of seconds within the deadline of {deadline:g} s, not "
            f"{attempt_timeout}."
        )
    if max_tokens is not None and max_tokens < 1:
        raise ConfigurationError(f"Claude's max_tokens must be at least 1, not {max_tokens}.")


def _check_extra(extra: Mapping[str, str | Sequence[str]]) -> None:
    for name, meaning in extra.items():
        if not name.isidentifier() or name in _RESERVED_NAMES:
            raise ConfigurationError(f"Claude's extra field {name!r}: the name is reserved or not an identifier.")
        if not meaning:
            raise ConfigurationError(f"Claude's extra field {name!r}: pass a description or a list of allowed values.")


def _check_examples(examples: object) -> None:
    is_source = callable(getattr(examples, "find", None)) and callable(getattr(examples, "describe", None))
    if examples is not None and (isinstance(examples, type) or not is_source):
        raise ConfigurationError(
            f"Claude's examples must be an object that finds them, not {describe_type(examples)}: pass "
            f"NearestExamples(examples), or set Bucket(examples=…) for the same ones in every prompt."
        )


def _check_support(model: str, effort: str | None, thinking: Mapping[str, Any] | None) -> None:
    profile = get_profile(model)
    if effort is not None and profile.efforts is not None and effort not in profile.efforts:
        supported = ", ".join(profile.efforts) or "none"
        raise ConfigurationError(f"{model} does not support effort {effort!r}. Supported: {supported}.")
    thinking_type = (thinking or {}).get("type")
    if thinking is not None and profile.thinking_types is not None and thinking_type not in profile.thinking_types:
        supported = ", ".join(profile.thinking_types)
        raise ConfigurationError(
            f"{model} does not support thinking of type {thinking_type!r}. Supported: {supported}."
        )
