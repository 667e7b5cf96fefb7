"""Turning anything that can serve as a classifier into a complete one, or rejecting it."""

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, cast

from triage.classifiers.base import AsyncOnlyError, Classifier, ClassifierLike
from triage.errors import ClassifierError, ConfigurationError
from triage.io.ports import is_async_function
from triage.models import Conversation, Verdict
from triage.policy import Buckets

_CLAUDE_MODEL = re.compile(r"claude-[a-z0-9][a-z0-9.-]*")
_ASYNC_NAMES = {"classify": "classify_async", "check": None, "warm_up": None, "close": "aclose"}
"""The methods that must not be async, and the names of their async counterparts."""


def as_classifier(value: ClassifierLike) -> Classifier:
    """Return a complete classifier for anything that can serve as one.

    Args:
        value: A `Classifier`, which is returned as it is. An object with `classify(conversation, buckets)`,
            `classify_async(conversation, buckets)` or both; the other members of `Classifier` are used if the object
            has them. A function, sync or async, that takes the customer text and returns a bucket name or a `Verdict`.
            Or the name of a Claude model, such as `"claude-haiku-4-5"`.

    Raises:
        ConfigurationError: The value is none of these, or one of its members is unusable.
    """
    return _adapt(value)


def _adapt(value: Any) -> Classifier:
    """Do the work of `as_classifier`. Callers without a type checker may pass anything."""
    if isinstance(value, str):
        return _create_claude(value)
    name = _describe(value)
    if isinstance(value, type):
        example = f"{name}.default()" if hasattr(value, "default") else f"{name}(...)"
        raise ConfigurationError(f"The classifier is the class {name}: pass an instance, such as {example}.")
    _check_methods(value, name)
    if isinstance(value, Classifier):
        return value
    if _has_method(value, "classify") or _has_method(value, "classify_async"):
        return _ObjectClassifier(value, name)
    if callable(value):
        return _FunctionClassifier(value, name)
    raise ConfigurationError(
        f"The classifier is of type {name}: pass a classifier such as Claude() or Rules.default(), the name of a "
        f"Claude model, an object with a classify() method, or a function from the customer's text to a bucket name."
    )


def _create_claude(model: str) -> Classifier:
    if not _CLAUDE_MODEL.fullmatch(model):
        # Do not repeat the string, which could be an API key.
        raise ConfigurationError(
            "The classifier is a string but not the name of a Claude model: pass a name such as 'claude-haiku-4-5', "
            "or a classifier such as Rules.default()."
        )
    from triage.classifiers.claude import Claude

    return Claude(model)


class _ObjectClassifier(Classifier):
    """Completes an object that has `classify`, `classify_async` or both."""

    def __init__(self, value: Any, name: str) -> None:
        self._value = value
        self._name = name
        self.extra = _check_extra(getattr(value, "extra", {}), name)
        self.priced = bool(getattr(value, "priced", False))

    @property
    def is_async_only(self) -> bool:
        return not _has_method(self._value, "classify")

    def check(self, buckets: Buckets) -> None:
        self._call_optional("check", buckets)

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if self.is_async_only:
            raise AsyncOnlyError(self._name)
        method = self._value.classify
        return _check_verdict(method(conversation, buckets), f"{self._name}.classify(){_locate(method)}")

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if not _has_method(self._value, "classify_async"):
            return await super().classify_async(conversation, buckets)
        method = self._value.classify_async
        answer = await _resolve(method(conversation, buckets))
        return _check_verdict(answer, f"{self._name}.classify_async(){_locate(method)}")

    def describe(self, buckets: Buckets) -> str:
        if _has_method(self._value, "describe"):
            return str(self._value.describe(buckets))
        return super().describe(buckets)

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str | None:
        fingerprint: str | None = self._call_optional("fingerprint", conversation, buckets)
        return fingerprint

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        cost: float | None = self._call_optional("estimate_cost", conversation, buckets)
        return cost

    def warm_up(self) -> None:
        self._call_optional("warm_up")

    def close(self) -> None:
        self._call_optional("close")

    async def aclose(self) -> None:
        if _has_method(self._value, "aclose"):
            await _resolve(self._value.aclose())
        else:
            self.close()

    async def leave_loop(self) -> None:
        await _resolve(self._call_optional("leave_loop"))

    def _call_optional(self, method: str, *args: object) -> Any:
        return getattr(self._value, method)(*args) if _has_method(self._value, method) else None

    def __repr__(self) -> str:
        return f"as_classifier({self._name})"


class _FunctionClassifier(Classifier):
    """Completes a function that takes the customer text and returns a bucket name or a verdict."""

    def __init__(self, function: Callable[[str], Any], name: str) -> None:
        if not _accepts(function, "text"):
            raise ConfigurationError(
                f"The function {name} must take one argument, the customer's text. To classify the whole conversation, "
                f"pass an object with a classify(conversation, buckets) method."
            )
        self._function = function
        self._name = name

    @property
    def is_async_only(self) -> bool:
        return is_async_function(self._function)

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if self.is_async_only:
            raise AsyncOnlyError(self._name)
        answer = self._function(conversation.text)
        if inspect.isawaitable(answer):
            _discard(answer)
            raise AsyncOnlyError(self._name)
        return _to_verdict(answer, self._describe())

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if self.is_async_only:
            answer = self._function(conversation.text)
        else:
            answer = await asyncio.to_thread(self._function, conversation.text)
        return _to_verdict(await _resolve(answer), self._describe())

    def _describe(self) -> str:
        return self._name + _locate(self._function)

    def __repr__(self) -> str:
        return f"as_classifier({self._name})"


def _check_methods(value: Any, name: str) -> None:
    """Reject a classifier whose members are not methods of the required form."""
    for method_name in ("classify", "classify_async", "check", "warm_up", "close", "aclose"):
        if not _has_method(value, method_name):
            continue
        method = getattr(value, method_name)
        if not callable(method):
            raise ConfigurationError(f"The classifier {name}: {method_name} must be a method.")
        if method_name in _ASYNC_NAMES and inspect.iscoroutinefunction(method):
            async_name = _ASYNC_NAMES[method_name]
            advice = f"name it {async_name}()" if async_name else "remove the async"
            raise ConfigurationError(f"The classifier {name}: {method_name}() must not be async; {advice}.")
        if method_name.startswith("classify") and not _accepts(method, "conversation", "buckets"):
            raise ConfigurationError(f"The classifier {name}: {method_name}() must take (conversation, buckets).")
    if (
        isinstance(value, Classifier)
        and type(value).classify is Classifier.classify
        and type(value).classify_async is Classifier.classify_async
    ):
        raise ConfigurationError(f"The classifier {name} has neither classify() nor classify_async(): define one.")


def _check_extra(extra: object, name: str) -> Mapping[str, str | Sequence[str]]:
    if not isinstance(extra, Mapping):
        raise ConfigurationError(
            f"The classifier {name}: extra must map the names of fields to descriptions or allowed values, such as "
            f"{{'language': 'The language, as ISO 639-1'}}, not be of type {type(extra).__name__}."
        )
    return cast("Mapping[str, str | Sequence[str]]", extra)


def _has_method(value: Any, name: str) -> bool:
    return getattr(value, name, None) is not None


def _accepts(function: Callable[..., Any], *arguments: str) -> bool:
    """Return False if a function certainly cannot be called with these positional arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtin functions have no signature
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


async def _resolve(answer: Any) -> Any:
    """Await an answer if necessary, because a plain function may return an awaitable."""
    return await answer if inspect.isawaitable(answer) else answer


def _discard(answer: Any) -> None:
    """Close a coroutine that is never awaited, because Python would warn about it."""
    if inspect.iscoroutine(answer):
        answer.close()


def _to_verdict(answer: Any, source: str) -> Verdict:
    return Verdict(bucket=answer) if isinstance(answer, str) else _check_verdict(answer, source, "a bucket name or ")


def _check_verdict(answer: Any, source: str, alternative: str = "") -> Verdict:
    """Return the answer if it is a verdict. The error names only its type, because the value may quote the customer."""
    if isinstance(answer, Verdict):
        return answer
    _discard(answer)
    raise ClassifierError(f"{source} must return {alternative}a Verdict, not {type(answer).__name__}")


def _locate(function: object) -> str:
    """Return where a function is defined, if that is known, for an error that has no line of the user's code."""
    code = getattr(function, "__code__", None)
    return f" (defined at {code.co_filename}:{code.co_firstlineno})" if isinstance(code, CodeType) else ""


def _describe(value: object) -> str:
    """Return the name of a class or function, or else of the value's type."""
    name: str = getattr(value, "__name__", type(value).__name__)
    return name
