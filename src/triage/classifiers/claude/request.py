"""Requests to the Messages API."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from triage.classifiers.claude.examples import ExampleSource
from triage.classifiers.claude.features import Feature
from triage.classifiers.claude.prompt import build_answer_format, build_schema, build_system_prompt, build_user_turn
from triage.classifiers.claude.settings import ModelSettings, Settings
from triage.models import Conversation
from triage.policy import Buckets


def build_request(
    settings: Settings,
    model: ModelSettings,
    conversation: Conversation,
    buckets: Buckets,
    examples: Sequence[Mapping[str, Any]] = (),
    left_out: AbstractSet[Feature] = frozenset(),
) -> dict[str, Any]:
    """Return the request to a model.

    Args:
        settings: The settings of the classifier.
        model: The model to ask.
        conversation: The conversation to classify.
        buckets: The buckets to choose from.
        examples: The examples for this conversation.
        left_out: Features that the API rejected.
    """
    left_out = left_out | model.left_out
    has_examples = settings.examples is not None  # also if there are none for this message, so that it is cached
    prompt = build_system_prompt(buckets, settings.extra, settings.instructions, has_examples=has_examples)
    output: dict[str, Any] = {}
    if "format" in left_out:
        prompt += f"\n\n{build_answer_format(settings.extra)}"
    else:
        output["format"] = {"type": "json_schema", "schema": build_schema(buckets, settings.extra)}
    if model.effort and "effort" not in left_out:
        output["effort"] = model.effort
    system: dict[str, Any] = {"type": "text", "text": prompt}
    if "cache_control" not in left_out:
        system["cache_control"] = {"type": "ephemeral"}
    request: dict[str, Any] = {
        "model": model.id,
        "max_tokens": model.max_tokens_with_thinking if "thinking" in left_out else model.max_tokens,
        "system": [system],
        "messages": [{"role": "user", "content": build_user_turn(conversation, examples)}],
    }
    if output:
        request["output_config"] = output
    if model.thinking and "thinking" not in left_out:
        request["thinking"] = dict(model.thinking)
    if conversation.customer.id and "metadata" not in left_out:
        # Anthropic asks for an opaque id to detect abuse, so do not send the customer's real id.
        request["metadata"] = {"user_id": hashlib.sha256(conversation.customer.id.encode()).hexdigest()[:32]}
    return request


def hash_prompt(request: Mapping[str, Any], source: ExampleSource | None = None) -> str:
    """Return a hash of everything in a request except the customer text, and of the source of the examples.

    Args:
        request: The request.
        source: Finds the examples; None if there are none.
    """
    prompt = {name: value for name, value in request.items() if name not in ("messages", "metadata")}
    if source is not None:
        prompt["examples"] = source.describe()
    return hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:12]
