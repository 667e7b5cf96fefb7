"""Requests to the Messages API."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from triage.classifiers.claude.features import Feature
from triage.classifiers.claude.prompt import build_answer_format, build_schema, build_system_prompt, build_user_turn
from triage.classifiers.claude.settings import ModelSettings, Settings
from triage.models import Conversation
from triage.policy import Buckets


class Prompt:
    """The prompt and the parameters that all requests to a model share. Build it once for many conversations.

    Args:
        settings: The settings of the classifier.
        model: The model to ask.
        buckets: The buckets to choose from.
        left_out: Features that the API rejected.
    """

    def __init__(
        self,
        settings: Settings,
        model: ModelSettings,
        buckets: Buckets,
        left_out: AbstractSet[Feature] = frozenset(),
    ) -> None:
        self.buckets = buckets
        self._examples = settings.examples
        self._left_out = left_out | model.left_out
        self._parameters = _build_parameters(settings, model, buckets, self._left_out)
        self._json = json.dumps(self._parameters, sort_keys=True)

    def build_request(self, conversation: Conversation, examples: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """Return the request for a conversation. It shares its nested objects with other requests.

        Args:
            conversation: The conversation to classify.
            examples: The examples for this conversation.
        """
        user_turn = {"role": "user", "content": build_user_turn(conversation, examples)}
        request = {**self._parameters, "messages": [user_turn]}
        if conversation.customer.id and "metadata" not in self._left_out:
            # Anthropic asks for an opaque id to detect abuse, so do not send the customer's real id.
            request["metadata"] = {"user_id": hashlib.sha256(conversation.customer.id.encode()).hexdigest()[:32]}
        return request

    def hash(self) -> str:
        """Return a hash of everything in a request except the customer text, and of the source of the examples."""
        source = "" if self._examples is None else self._examples.describe()
        return hashlib.sha256(f"{self._json}{source}".encode()).hexdigest()[:12]


def _build_parameters(
    settings: Settings, model: ModelSettings, buckets: Buckets, left_out: AbstractSet[Feature]
) -> dict[str, Any]:
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
    parameters: dict[str, Any] = {
        "model": model.id,
        "max_tokens": model.max_tokens_with_thinking if "thinking" in left_out else model.max_tokens,
        "system": [system],
    }
    if output:
        parameters["output_config"] = output
    if model.thinking and "thinking" not in left_out:
        parameters["thinking"] = dict(model.thinking)
    return parameters
