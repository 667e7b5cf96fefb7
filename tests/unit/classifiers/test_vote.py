"""A vote asks several times and returns the verdict of the majority."""

from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.classifiers import BUCKETS, CONVERSATION, Fixed, Together, classify, fallback
from triage import ConfigurationError, Verdict
from triage.classifiers import Cascade, Rules, Vote
from triage.classifiers.sampling import use_sample
from triage.models import Usage
from triage.policy import Buckets


def members(*names: str | None) -> list[Fixed]:
    """Return a classifier for each bucket, and one without a verdict for None."""
    return [Fixed(fallback() if name is None else vote_for(name), name=str(name)) for name in names]


def vote_for(bucket: str, confidence: float = 0.9, **fields: Any) -> Verdict:
    return Verdict(bucket=bucket, confidence=confidence, **fields)


@pytest.mark.parametrize(
    ("names", "bucket", "confidence"),
    [
        (["billing", "billing", "billing"], "billing", 1.0),
        (["billing", "urgent", "billing"], "billing", 2 / 3),
        (["billing", "urgent"], "urgent", 1 / 2),
        (["general", "billing", "urgent"], "urgent", 1 / 3),
        (["general", "general", "billing", "billing"], "billing", 1 / 2),
        (["billing", None, "billing"], "billing", 2 / 3),
        ([None, None, "general"], "general", 1 / 3),
        (["Billing", "billing", "BILLING "], "billing", 1.0),
        (["billing", "nonsense", "nonsense"], "billing", 1 / 3),
    ],
)
def test_the_majority_wins_and_the_first_bucket_wins_a_tie(
    api: Api, names: list[str | None], bucket: str, confidence: float
) -> None:
    verdict = classify(api, Vote(members(*names)))
    assert (verdict.bucket, verdict.confidence, verdict.fallback) == (bucket, confidence, False)
    assert len(verdict.parts) == len(names)


def test_the_most_confident_verdict_for_the_winner_explains_it(api: Api) -> None:
    votes = [
        vote_for("billing", 0.5, reason="weak", extra={"language": "de"}, model="a"),
        vote_for("billing", 0.8, reason="strong", extra={"language": "en"}, model="b", prompt_version="v"),
        vote_for("urgent", 0.9, reason="other", extra={"language": "fr"}, model="c"),
        vote_for("billing", 0.8, reason="later", extra={"language": "it"}, model="d"),
    ]
    verdict = classify(api, Vote([Fixed(vote) for vote in votes]))
    assert (verdict.reason, verdict.extra, verdict.model) == ("strong", {"language": "en"}, "b")
    assert verdict.prompt_version == "v"
    assert verdict.parts == tuple(votes)


def test_a_classifier_is_asked_three_times_by_default(api: Api) -> None:
    member = Fixed(vote_for("billing"), vote_for("urgent"), vote_for("urgent"))
    verdict = classify(api, Vote(member))
    assert (verdict.bucket, verdict.confidence) == ("urgent", 2 / 3)
    assert [part.bucket for part in verdict.parts] == ["billing", "urgent", "urgent"]
    assert member.samples == [0, 1, 2]


def test_several_classifiers_are_asked_once_by_default(api: Api) -> None:
    asked = members("billing", "urgent")
    classify(api, Vote(asked))
    assert [member.samples for member in asked] == [[0], [0]]


def test_several_classifiers_may_be_asked_several_times(api: Api) -> None:
    asked = members("billing", "urgent")
    assert len(classify(api, Vote(asked, samples=2)).parts) == 4
    assert [member.samples for member in asked] == [[0, 1], [0, 1]]


def test_each_sample_of_a_vote_has_samples_of_its_own(api: Api) -> None:
    member = Fixed(vote_for("billing"))
    with use_sample(2):
        classify(api, Vote(member, samples=3))
    assert member.samples == [6, 7, 8]


def test_votes_nest(api: Api) -> None:
    member = Fixed(vote_for("billing"))
    inner = Vote(member, samples=2)
    verdict = classify(api, Vote(Cascade([inner, Fixed(vote_for("urgent"))]), samples=2))
    assert (verdict.bucket, verdict.confidence) == ("billing", 1.0)
    assert member.samples == [0, 1, 2, 3]


def test_async_code_asks_concurrently() -> None:
    verdict = classify(Api("async"), Vote(Together(3, vote_for("billing"))))
    assert verdict.confidence == 1.0


def test_the_verdict_has_the_total_usage_and_cost(api: Api) -> None:
    costs = [
        vote_for("billing", usage=Usage(input_tokens=10), cost_usd=0.25, latency=1.0),
        vote_for("urgent", usage=Usage(output_tokens=3), cost_usd=0.5, latency=3.0),
        fallback(usage=Usage(input_tokens=1), cost_usd=0.25, latency=2.0),
    ]
    verdict = classify(api, Vote([Fixed(vote) for vote in costs]))
    assert verdict.usage == Usage(input_tokens=11, output_tokens=3)
    assert verdict.cost_usd == 1.0
    assert verdict.latency == {"sync": 6.0, "async": 3.0}[api.name]


@pytest.mark.parametrize(
    ("votes", "allow_close"),
    [
        ([("billing", False), ("billing", False), ("urgent", True)], False),
        ([("billing", False), ("billing", True), ("urgent", False)], True),
    ],
)
def test_one_vote_for_the_winner_may_allow_to_close(api: Api, votes: list[tuple[str, bool]], allow_close: bool) -> None:
    asked = [Fixed(vote_for(bucket, allow_close=allowed)) for bucket, allowed in votes]
    assert classify(api, Vote(asked)).allow_close is allow_close


def test_without_a_usable_vote_the_result_is_a_fallback_verdict(api: Api) -> None:
    waiting = fallback("unavailable", retry_after=4.0)
    verdict = classify(api, Vote(Fixed(fallback(), waiting, ValueError())))
    assert (verdict.fallback_reason, verdict.bucket, verdict.retry_after) == ("unavailable", "general", 4.0)
    assert verdict.reason == "Fixed(a): it was refused; Fixed(a): it was unavailable; Fixed(a): it raised ValueError"


def test_an_exception_is_a_vote_for_no_bucket(api: Api) -> None:
    verdict = classify(api, Vote([Fixed(ValueError()), *members("urgent", "urgent", "billing")]))
    assert (verdict.bucket, verdict.confidence) == ("urgent", 2 / 4)


def test_a_configuration_error_is_raised(api: Api) -> None:
    with pytest.raises(ConfigurationError, match="no key"):
        classify(api, Vote([*members("urgent"), Fixed(ConfigurationError("no key"))]))


@pytest.mark.parametrize("samples", [0, -1, True, 2.0, "3"])
def test_samples_must_be_a_positive_number(samples: Any) -> None:
    with pytest.raises(ConfigurationError, match="Vote: samples must be a number from 1"):
        Vote(members("urgent"), samples=samples)


def test_a_single_vote_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="Vote: a single sample"):
        Vote(Rules.default(), samples=1)


def test_an_empty_vote_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="Vote has no classifiers"):
        Vote([])


def test_the_same_classifier_twice_is_rejected() -> None:
    member = Fixed(vote_for("urgent"))
    with pytest.raises(ConfigurationError, match=r"ask it several times, write Vote\(classifier, samples=3\)"):
        Vote([member, member])


def test_a_vote_of_a_model_is_a_vote_of_claude() -> None:
    assert repr(Vote("claude-haiku-5-5")) == "Vote([Claude('claude-haiku-5-5')], samples=3)"


def test_a_vote_describes_itself() -> None:
    vote = Vote([Fixed(vote_for("urgent")), Rules({"billing": ["invoice"]})], samples=2)
    assert repr(vote) == "Vote([Fixed(a), Rules()], samples=2)"
    description = vote.describe(BUCKETS)
    assert description.startswith("Vote, samples: 2\n\n1. Fixed(a)\n\nFixed(a)\n\nurgent: Outages\n")
    assert description.endswith("2. Rules()\n\nRules\nbilling: invoice\nfallback: general")


def test_the_fingerprint_depends_on_the_samples_and_the_order_of_the_buckets() -> None:
    reordered = Buckets([*BUCKETS[1:], BUCKETS[0]])
    member = Fixed(vote_for("urgent"))
    fingerprints = {
        Vote(member, samples=2).fingerprint(CONVERSATION, BUCKETS),
        Vote(member, samples=3).fingerprint(CONVERSATION, BUCKETS),
        Vote(member, samples=3).fingerprint(CONVERSATION, reordered),
    }
    assert len(fingerprints) == 3
    assert None not in fingerprints


def test_the_estimated_cost_is_that_of_all_votes() -> None:
    length = len(CONVERSATION.text)
    asked = [Fixed(vote_for("urgent"), cost=1.0), Fixed(vote_for("urgent"), cost=2.0)]
    assert Vote(asked, samples=4).estimate_cost(CONVERSATION, BUCKETS) == 12 * length
    assert Vote(Fixed(vote_for("urgent"), cost=None)).estimate_cost(CONVERSATION, BUCKETS) is None
