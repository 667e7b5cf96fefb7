"""Anything that can serve as a classifier becomes a complete classifier; anything else is rejected with advice."""

import asyncio
import functools
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.helpers.api import Api
from triage import Bucket, Buckets, ClassifierError, ConfigurationError, Conversation, Message, Verdict
from triage.classifiers import Classifier, ClassifierLike, Claude, Rules, Vote, as_classifier

BUCKETS = Buckets([Bucket("billing", "Invoices"), Bucket("general", "Anything else")])
SECRET = "4711"
CONVERSATION = Conversation(
    id="1", subject="Invoice", messages=(Message(id="1", role="customer", text=f"My code is {SECRET}"),)
)
BILLING = Verdict(bucket="billing")


def classify(api: Api, classifier: Classifier) -> Verdict:
    if api.name == "sync":
        return classifier.classify(CONVERSATION, BUCKETS)
    return asyncio.run(classifier.classify_async(CONVERSATION, BUCKETS))


class SyncSubclass(Classifier):
    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return BILLING


class AsyncSubclass(Classifier):
    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return BILLING


class SyncObject:
    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return BILLING


class AsyncObject:
    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return BILLING


class CompleteObject:
    """Has every member of the protocol, without the base class."""

    extra = {"language": "ISO 639-1"}  # noqa: RUF012 - as users write it
    priced = True

    def __init__(self) -> None:
        self.calls: list[str] = []

    def check(self, buckets: Buckets) -> None:
        self.calls.append(f"check {buckets.names[0]}")

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.calls.append("classify")
        return BILLING

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.calls.append("classify_async")
        return BILLING

    def warm_up(self) -> None:
        self.calls.append("warm_up")

    def close(self) -> None:
        self.calls.append("close")

    async def aclose(self) -> None:
        self.calls.append("aclose")


class CallableObject:
    def __call__(self, text: str) -> str:
        return "billing"


class AsyncCallableObject:
    async def __call__(self, text: str) -> str:
        return "billing"


def choose(text: str) -> str:
    assert text == f"Invoice\n\nMy code is {SECRET}"
    return "billing"


def choose_verdict(text: str) -> Verdict:
    return BILLING


async def choose_async(text: str) -> str:
    return choose(text)


def return_awaitable(text: str) -> Awaitable[str]:
    return choose_async(text)


def choose_with_options(text: str, bucket: str = "general") -> str:
    return bucket


# Accepted forms


@pytest.mark.parametrize(
    "value",
    [
        SyncSubclass(),
        SyncObject(),
        CompleteObject(),
        choose,
        choose_verdict,
        lambda text: "billing",
        functools.partial(choose_with_options, bucket="billing"),
        CallableObject(),
    ],
)
def test_a_sync_classifier_works_through_both_entry_points(api: Api, value: ClassifierLike) -> None:
    assert classify(api, as_classifier(value)) == BILLING


@pytest.mark.parametrize(
    "value",
    [
        AsyncSubclass(),
        AsyncObject(),
        choose_async,
        return_awaitable,
        functools.partial(choose_async),
        AsyncCallableObject(),
    ],
)
def test_an_async_classifier_works_in_async_code_only(value: ClassifierLike) -> None:
    classifier = as_classifier(value)
    assert classify(Api("async"), classifier) == BILLING
    with pytest.raises(ConfigurationError, match=r"async only: call handle_async\(\), or give it a classify\(\)"):
        classify(Api("sync"), classifier)
    gc.collect()  # a coroutine that was never awaited would be reported now


def test_a_classifier_says_whether_sync_code_can_use_it() -> None:
    sync: list[ClassifierLike] = [SyncSubclass(), SyncObject(), CallableObject()]
    async_only: list[ClassifierLike] = [AsyncSubclass(), AsyncObject(), choose_async, AsyncCallableObject()]
    assert all(as_classifier(value).is_async_only for value in async_only)
    assert not any(as_classifier(value).is_async_only for value in sync)
    assert Vote([SyncSubclass(), AsyncSubclass()]).is_async_only
    assert not Vote([SyncSubclass(), SyncSubclass()]).is_async_only


def test_a_classifier_is_returned_as_it_is() -> None:
    rules = Rules({"billing": ["invoice"]})
    assert as_classifier(rules) is rules


def test_a_model_name_becomes_claude() -> None:
    classifier = as_classifier("claude-haiku-4-5")
    assert isinstance(classifier, Claude)
    assert classifier.model == "claude-haiku-4-5"


def test_a_builtin_function_without_a_signature_is_accepted(api: Api) -> None:
    assert classify(api, as_classifier(min)).bucket == "\n"


@pytest.mark.parametrize("value", [SyncSubclass(), SyncObject(), choose])
def test_members_that_a_classifier_lacks_have_defaults(value: ClassifierLike) -> None:
    classifier = as_classifier(value)
    assert (dict(classifier.extra), classifier.priced) == ({}, False)
    classifier.check(BUCKETS)
    classifier.warm_up()
    classifier.close()
    asyncio.run(classifier.aclose())


def test_members_that_an_object_has_are_used() -> None:
    value = CompleteObject()
    classifier = as_classifier(value)
    assert (classifier.extra, classifier.priced) == ({"language": "ISO 639-1"}, True)
    classifier.check(BUCKETS)
    classifier.warm_up()
    classify(Api("sync"), classifier)
    classify(Api("async"), classifier)
    classifier.close()
    asyncio.run(classifier.aclose())
    assert value.calls == ["check billing", "warm_up", "classify", "classify_async", "close", "aclose"]


def test_an_object_that_can_only_be_closed_in_sync_code_is_closed_in_async_code_too() -> None:
    class Closable(SyncObject):
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    value = Closable()
    asyncio.run(as_classifier(value).aclose())
    assert value.is_closed


@pytest.mark.parametrize("value", [SyncSubclass, SyncObject, None])
def test_a_sync_classifier_does_not_block_the_event_loop(value: Any) -> None:
    threads: list[threading.Thread] = []

    def record_thread(*args: object) -> Verdict:
        threads.append(threading.current_thread())
        return BILLING

    candidate: Any = record_thread
    if value is not None:
        candidate = value()
        candidate.classify = record_thread
    classify(Api("async"), as_classifier(candidate))
    assert threads != [threading.current_thread()]


def test_the_repr_names_the_object_or_function() -> None:
    assert repr(as_classifier(SyncObject())) == "as_classifier(SyncObject)"
    assert repr(as_classifier(choose)) == "as_classifier(choose)"


# Mistakes


class WithoutMethods(Classifier):
    pass


class AsyncClassify:
    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        raise AssertionError


class AsyncClassifySubclass(Classifier):
    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:  # type: ignore[override] # the mistake
        raise AssertionError


class NotCallable:
    classify = "billing"


class TextOnly:
    def classify(self, text: str) -> str:
        raise AssertionError


class AsyncClose(SyncObject):
    async def close(self) -> None:
        raise AssertionError


class AsyncCheck(SyncObject):
    async def check(self, buckets: Buckets) -> None:
        raise AssertionError


class NamesOnly(SyncObject):
    extra = ("language",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Rules, r"the class Rules: pass an instance, such as Rules\.default\(\)"),
        (SyncObject, r"the class SyncObject: pass an instance, such as SyncObject\(\.\.\.\)"),
        (object(), r"of type object: pass a classifier such as Claude\(\) or Rules\.default\(\)"),
        (7, r"of type int: pass a classifier"),
        (None, r"of type NoneType: pass a classifier"),
        ({"billing": ["invoice"]}, r"of type dict: pass a classifier"),
        ("gpt-7", r"not the name of a Claude model: pass a name such as 'claude-haiku-4-5'"),
        ("", r"not the name of a Claude model"),
        (WithoutMethods(), r"WithoutMethods has neither classify\(\) nor classify_async\(\): define one"),
        (NotCallable(), r"NotCallable: classify must be a method"),
        (AsyncClassify(), r"AsyncClassify: classify\(\) must not be async; name it classify_async\(\)"),
        (AsyncClassifySubclass(), r"AsyncClassifySubclass: classify\(\) must not be async; name it classify_async\(\)"),
        (AsyncClose(), r"AsyncClose: close\(\) must not be async; name it aclose\(\)"),
        (AsyncCheck(), r"AsyncCheck: check\(\) must not be async; remove the async"),
        (TextOnly(), r"TextOnly: classify\(\) must take \(conversation, buckets\)"),
        (NamesOnly(), r"NamesOnly: extra must map the names of fields .* not be of type tuple"),
        (lambda: "billing", r"<lambda> must take one argument, the customer's text"),
        (Rules.default().classify, r"classify must take one argument.* an object with a classify\(conversation, bu"),
    ],
)
def test_a_mistake_is_rejected_with_advice(value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        as_classifier(value)


def test_a_string_that_is_not_a_model_name_is_not_repeated_because_it_may_be_a_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_classifier("sk-ant-hush")
    assert "hush" not in str(caught.value)


# Return values


@pytest.mark.parametrize("answer", [None, 7, [SECRET], {"bucket": SECRET}, SECRET.encode()])
def test_a_function_that_returns_another_type_is_reported_without_the_value(api: Api, answer: Any) -> None:
    def return_answer(text: str) -> Any:
        return answer

    with pytest.raises(ClassifierError) as caught:
        classify(api, as_classifier(return_answer))
    line = return_answer.__code__.co_firstlineno
    assert str(caught.value) == (
        f"return_answer (defined at {__file__}:{line}) must return a bucket name or a Verdict, not "
        f"{type(answer).__name__}"
    )


def test_an_object_that_returns_another_type_is_reported_without_the_value(api: Api) -> None:
    class Mistaken:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Any:
            return SECRET

        async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Any:
            return SECRET

    method = "classify" if api.name == "sync" else "classify_async"
    with pytest.raises(ClassifierError) as caught:
        classify(api, as_classifier(Mistaken()))
    line = getattr(Mistaken, method).__code__.co_firstlineno
    assert str(caught.value) == f"Mistaken.{method}() (defined at {__file__}:{line}) must return a Verdict, not str"


def test_a_classify_method_that_returns_a_coroutine_is_reported(api: Api) -> None:
    class Mistaken:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Any:
            return choose_async(conversation.text)

    with pytest.raises(ClassifierError, match="must return a Verdict, not coroutine"):
        classify(api, as_classifier(Mistaken()))
    gc.collect()  # a coroutine that was never awaited would be reported now


@pytest.mark.parametrize("form", [SyncObject, AsyncObject])
def test_exceptions_of_a_classifier_are_not_changed(form: Callable[[], Any]) -> None:
    error = ValueError("x")

    def fail(*args: object) -> Any:
        raise error

    value = form()
    setattr(value, "classify" if form is SyncObject else "classify_async", fail)
    with pytest.raises(ValueError, match="x") as caught:
        classify(Api("async"), as_classifier(value))
    assert caught.value is error


class LoopBound(SyncObject):
    def __init__(self) -> None:
        self.left = 0

    async def leave_loop(self) -> None:
        self.left += 1


def test_an_object_may_close_what_belongs_to_an_event_loop() -> None:
    value = LoopBound()
    asyncio.run(as_classifier(value).leave_loop())
    assert value.left == 1


@pytest.mark.parametrize("value", [SyncObject(), SyncSubclass(), lambda text: "billing"])
def test_leaving_an_event_loop_is_optional(value: Any) -> None:
    asyncio.run(as_classifier(value).leave_loop())


def test_a_classifier_is_named_by_its_class() -> None:
    assert repr(SyncSubclass()) == "SyncSubclass()"
