"""Classifiers that consist of others pass on their settings and the calls of the Router."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.classifiers import BUCKETS, CONVERSATION, Fixed, classify
from triage import Conversation, Verdict
from triage.classifiers import Cascade, Classifier, Claude, Redacted, Vote
from triage.classifiers.composite import Composite

URGENT = Verdict(bucket="urgent", cost_usd=0.0)


def nest(members: Sequence[Classifier]) -> Composite:
    return Cascade([Vote(members), Redacted(members[0])])


def redact(members: Sequence[Classifier]) -> Composite:
    return Redacted(Redacted(members[0]))


@pytest.mark.parametrize("build", [Cascade, Vote, redact, nest])
def test_the_classifiers_are_checked_warmed_up_and_closed(build: Callable[[Sequence[Classifier]], Composite]) -> None:
    member = Fixed(URGENT)
    composite = build([member, Fixed(URGENT)])
    composite.check(BUCKETS)
    composite.warm_up()
    composite.close()
    asyncio.run(composite.aclose())
    assert list(dict.fromkeys(member.events)) == ["check", "warm_up", "close", "aclose"]


def test_the_extra_fields_are_those_of_all_classifiers() -> None:
    members = [
        Fixed(URGENT, extra={"language": "ISO 639-1", "tone": "rude or not"}),
        Fixed(URGENT, extra={"tone": ["rude", "polite"]}),
    ]
    assert Cascade(members).extra == {"language": "ISO 639-1", "tone": ["rude", "polite"]}
    assert Redacted(members[0]).extra == members[0].extra


@pytest.mark.parametrize("priced", [(True, True), (True, False), (False, True)])
def test_a_composite_is_priced_if_all_classifiers_are(priced: tuple[bool, bool]) -> None:
    members = [Fixed(URGENT, priced=value) for value in priced]
    assert Cascade(members).priced is all(priced)
    assert Vote(members).priced is all(priced)
    assert Redacted(members[0]).priced is priced[0]


def test_anything_that_can_serve_as_a_classifier_is_accepted(api: Api) -> None:
    class Object:
        def classify(self, conversation: Conversation, buckets: Any) -> Verdict:
            return URGENT

    vote = Vote([lambda text: "urgent", Object()])
    assert classify(api, vote).confidence == 1.0
    assert isinstance(Redacted("claude-haiku-5-5").classifiers[0], Claude)


def test_sync_classifiers_run_in_threads_of_async_code() -> None:
    class Sync(Classifier):
        def classify(self, conversation: Conversation, buckets: Any) -> Verdict:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            return URGENT

    assert asyncio.run(Vote([Sync(), Sync()]).classify_async(CONVERSATION, BUCKETS)).confidence == 1.0
