"""The base class of classifiers, and `as_classifier`, which completes anything that can serve as one."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, cast

from triage.errors import ClassifierError, ConfigurationError
from triage.models import Conversation, Verdict
from triage.policy import Buckets

_CLAUDE_MODEL = re.compile(r"claude-[a-z0-9][a-z0-9.-]*")
_ASYNC_NAMES = {"classify": "classify_async", "check": None, "warm_up": None, "close": "aclose"}
"""The methods that must not be async, and the names of their async counterparts."""


class AsyncOnlyError(ConfigurationError):
    """A classifier that can only be awaited was called by a sync entry point."""


class Classifier:
    """Base class of all classifiers.

    Override `classify`, `classify_async` or both; all other members have defaults. With `classify` alone, async code
    runs it in a thread. With `classify_async` alone, the sync entry points raise `ConfigurationError`.

    One classifier serves all threads and event loops of a process. If it raises an exception, the Router uses the
    fallback bucket. The Router logs the type and location of the exception but not its message, which might quote the
    customer. It does log the message of a `ClassifierError`.
    """

    extra: Mapping[str, str | Sequence[str]] = MappingProxyType({})
    """The names of the fields in `Verdict.extra`, each with a description or its allowed values. Notes and custom
    fields may use these names as placeholders."""

    priced: bool = False
    """True if every verdict reports its cost in `cost_usd`. `Limits(daily_usd=…)` requires it."""

    def check(self, buckets: Buckets) -> None:
        """Check that the classifier works with these buckets. The Router calls this method once, when it is created.

        Args:
            buckets: The buckets of the Router.

        Raises:
            ConfigurationError: The classifier does not work with these buckets.
        """

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.

        Raises:
            ConfigurationError: The classifier is async only.
        """
        raise _build_async_only_error(_describe(self))

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation in async code. By default, run `classify` in a thread.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.
        """
        return await asyncio.to_thread(self.classify, conversation, buckets)

    def warm_up(self) -> None:
        """Prepare for the first classification, for example by importing packages or creating clients.

        Raises:
            ConfigurationError: The classifier cannot work, for example because an API key is missing.
        """

    def close(self) -> None:
        """Close the clients and files that `classify` opened."""

    async def aclose(self) -> None:
        """Do the same as `close`, and close what `classify_async` opened on the running event loop."""
        self.close()


class SupportsClassify(Protocol):
    """An object with a `classify` method. It may define any other member of `Classifier`, too."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation."""
        ...


class SupportsClassifyAsync(Protocol):
    """An object with a `classify_async` method. It may define any other member of `Classifier`, too."""

    def classify_async(self, conversation: Conversation, buckets: Buckets) -> Awaitable[Verdict]:
        """Choose the bucket of a conversation in async code."""
        ...


ClassifierLike: TypeAlias = (
    Classifier
    | SupportsClassify
    | SupportsClassifyAsync
    | Callable[[str], str | Verdict]
    | Callable[[str], Awaitable[str | Verdict]]
    | str
)
"""Anything that `as_classifier` accepts: a classifier, a function that takes the customer text, or a model name."""


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
    from triage.classifiers.claude import Claude

    if not _CLAUDE_MODEL.fullmatch(model):
        # Do not repeat the string, which could be an API key.
        raise ConfigurationError(
            "The classifier is a string but not the name of a Claude model: pass a name such as 'claude-haiku-4-5', "
            "or a classifier such as Rules.default()."
        )
    return Claude(model)


class _ObjectClassifier(Classifier):
    """Completes an object that has `classify`, `classify_async` or both."""

    def __init__(self, value: Any, name: str) -> None:
        self._value = value
        self._name = name
        self.extra = _check_extra(getattr(value, "extra", {}), name)
        self.priced = bool(getattr(value, "priced", False))

    def check(self, buckets: Buckets) -> None:
        self._call_optional("check", buckets)

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if not _has_method(self._value, "classify"):
            raise _build_async_only_error(self._name)
        return _check_verdict(self._value.classify(conversation, buckets), f"{self._name}.classify()")

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if not _has_method(self._value, "classify_async"):
            return await super().classify_async(conversation, buckets)
        answer = await _resolve(self._value.classify_async(conversation, buckets))
        return _check_verdict(answer, f"{self._name}.classify_async()")

    def warm_up(self) -> None:
        self._call_optional("warm_up")

    def close(self) -> None:
        self._call_optional("close")

    async def aclose(self) -> None:
        if _has_method(self._value, "aclose"):
            await _resolve(self._value.aclose())
        else:
            self.close()

    def _call_optional(self, method: str, *args: object) -> None:
        if _has_method(self._value, method):
            getattr(self._value, method)(*args)

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
        self._is_async = _is_async(function) or _is_async(type(function).__call__)

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if self._is_async:
            raise _build_async_only_error(self._name)
        answer = self._function(conversation.text)
        if inspect.isawaitable(answer):
            _discard(answer)
            raise _build_async_only_error(self._name)
        return _to_verdict(answer, self._name)

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if self._is_async:
            answer = self._function(conversation.text)
        else:
            answer = await asyncio.to_thread(self._function, conversation.text)
        return _to_verdict(await _resolve(answer), self._name)

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
        if method_name in _ASYNC_NAMES and _is_async(method):
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


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function)


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


def _describe(value: object) -> str:
    """Return the name of a class or function, or else of the value's type."""
    name: str = getattr(value, "__name__", type(value).__name__)
    return name


def _build_async_only_error(name: str) -> AsyncOnlyError:
    return AsyncOnlyError(
        f"The classifier {name} is async only: call handle_async(), or give it a classify() method as well."
    )
