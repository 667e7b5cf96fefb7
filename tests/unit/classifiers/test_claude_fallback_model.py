"""The fallback model: when it is asked, how long, what it costs, and the verdict if it fails as well."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.helpers.claude import GOOD, Ask, build_content, conversation, get_levels
from triage import ConfigurationError, Usage
from triage.classifiers import Claude, Price
from triage.classifiers.claude.models import PROFILES

HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"
REFUSAL: Mapping[str, Any] = {
    "stop_reason": "refusal",
    "content": [],
    "stop_details": {"type": "refusal", "category": "cyber"},
}


def get_models(ask: Ask) -> list[str]:
    """Return the models of the accepted requests, in order."""
    return [request["model"] for request in ask.fake.requests]


def calculate_cost(model: str, **tokens: int) -> float:
    price = PROFILES[model].price
    assert price is not None
    return price.calculate_cost(Usage(**tokens))


@pytest.mark.parametrize(
    "failure",
    [
        REFUSAL,
        {"status": 400},
        {"status": 403},
        {"status": 404},
        {"status": 429, "headers": {"retry-after": "3600"}},
        {"status": 500, "times": 50},
        {"status": 529, "times": 50},
        {"drop": True, "times": 50},
    ],
    ids=str,
)
def test_the_fallback_model_is_asked_if_the_first_one_refuses_or_is_down(
    ask_both: Ask, failure: Mapping[str, Any]
) -> None:
    ask_both.fake.fail(**failure, for_model=HAIKU)
    verdict = ask_both(fallback_model=SONNET)
    assert (verdict.bucket, verdict.fallback, verdict.model) == ("billing", False, SONNET)
    assert get_models(ask_both)[-1] == SONNET


def test_the_fallback_model_is_not_asked_without_need(ask: Ask) -> None:
    assert ask(fallback_model=SONNET).model == HAIKU
    assert get_models(ask) == [HAIKU]


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 401},
        {"status": 402},
        {"status": 413},
        {"status": 429, "code": "enforced_spend_limit_reached"},
        {"status": 400, "body": b'{"error": {"message": "You have reached your specified API usage limits."}}'},
        build_content("no JSON"),
        build_content({**GOOD, "label": "vip"}),
        {"stop_reason": "model_context_window_exceeded"},
    ],
    ids=str,
)
def test_the_fallback_model_is_not_asked_if_it_would_fail_as_well(ask_both: Ask, failure: Mapping[str, Any]) -> None:
    ask_both.fake.fail(**failure)
    assert ask_both(fallback_model=SONNET).fallback
    assert len(ask_both.fake.calls) == 1


def test_the_fallback_model_is_not_asked_without_an_api_key(ask: Ask) -> None:
    verdict = ask(fallback_model=SONNET, api_key=None)
    assert (verdict.fallback_reason, len(ask.fake.calls)) == ("unavailable", 0)


def test_each_model_gets_only_parameters_that_it_supports(ask: Ask) -> None:
    ask.fake.fail(**REFUSAL)
    ask(fallback_model=SONNET, effort="high", max_tokens=400, thinking={"type": "disabled"})
    first, second = ask.fake.requests
    assert (first["max_tokens"], first["output_config"]["effort"], first["thinking"]["type"]) == (
        400,
        "high",
        "disabled",
    )
    assert (second["max_tokens"], second["output_config"]["effort"]) == (2_048, "low")
    assert "thinking" not in second


def test_both_models_get_the_same_prompt(ask: Ask) -> None:
    ask.fake.fail(**REFUSAL)
    ask(conversation("Hacked!"), fallback_model=SONNET)
    first, second = ask.fake.requests
    assert first["system"] == second["system"]
    assert first["messages"] == second["messages"]


# Cost


def test_each_call_is_counted_at_the_price_of_its_model(ask: Ask) -> None:
    ask.fake.fail(**REFUSAL, usage={"input_tokens": 100, "output_tokens": 10})
    ask.fake.fail(usage={"input_tokens": 200, "output_tokens": 20})
    verdict = ask(fallback_model=SONNET)
    assert verdict.usage == Usage(input_tokens=300, output_tokens=30)
    expected = calculate_cost(HAIKU, input_tokens=100, output_tokens=10)
    expected += calculate_cost(SONNET, input_tokens=200, output_tokens=20)
    assert verdict.cost_usd == pytest.approx(expected)


def test_a_refusal_before_any_output_is_free(ask: Ask) -> None:
    ask.fake.fail(**REFUSAL, usage={"input_tokens": 100, "output_tokens": 0})
    ask.fake.fail(usage={"input_tokens": 200, "output_tokens": 20})
    verdict = ask(fallback_model=SONNET)
    assert verdict.cost_usd == pytest.approx(calculate_cost(SONNET, input_tokens=200, output_tokens=20))


def test_the_cost_is_unknown_once_a_model_without_a_price_has_answered(ask: Ask) -> None:
    assert ask(fallback_model="claude-next-9").cost_usd is not None
    ask.fake.fail(**REFUSAL)
    assert ask(fallback_model="claude-next-9").cost_usd is None


def test_a_classifier_is_priced_if_both_models_have_a_price() -> None:
    assert Claude(fallback_model=SONNET).priced
    assert not Claude(fallback_model="claude-next-9").priced
    assert not Claude("claude-next-9", fallback_model=SONNET).priced
    assert Claude(fallback_model="claude-next-9", prices={"claude-next-9": Price(1, 1, 1, 1)}).priced


# Deadline


def test_a_third_of_the_deadline_is_reserved_for_the_fallback_model(ask_both: Ask) -> None:
    ask_both.fake.fail(529, times=50, for_model=HAIKU)
    assert ask_both(fallback_model=SONNET, deadline=30).model == SONNET
    assert 10 < sum(ask_both.time.delays) <= 20


def test_the_fallback_model_may_use_all_the_time_that_is_left(ask_both: Ask) -> None:
    ask_both.fake.fail(**REFUSAL)
    ask_both.fake.fail(429, headers={"retry-after": "25"}, for_model=SONNET)
    assert ask_both(fallback_model=SONNET, deadline=30).model == SONNET
    assert ask_both.time.delays == [25.0]


def test_a_first_model_that_does_not_respond_leaves_time_for_the_fallback_model(ask: Ask) -> None:
    ask.fake.fail(stall=True, for_model=HAIKU)
    ask.time.step = 0.05
    verdict = ask(fallback_model=SONNET, deadline=0.3)
    assert verdict.model == SONNET


def test_both_models_together_respect_the_deadline(ask_both: Ask) -> None:
    ask_both.fake.fail(529, times=100)
    verdict = ask_both(fallback_model=SONNET, deadline=30)
    assert verdict.fallback
    assert verdict.latency < 30


# Both models fail


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (REFUSAL, REFUSAL, "refused"),
        (REFUSAL, {"status": 529, "times": 50}, "unavailable"),
        ({"status": 529, "times": 50}, REFUSAL, "unavailable"),
        ({"status": 529, "times": 50}, {"status": 529, "times": 50}, "unavailable"),
        (REFUSAL, {"status": 404}, "refused"),
        (REFUSAL, build_content("no JSON"), "refused"),
        ({"status": 404}, build_content("no JSON"), "unavailable"),
        ({"status": 404}, {"status": 400}, "unavailable"),
    ],
    ids=str,
)
def test_the_reason_says_whether_a_later_call_may_succeed(
    ask: Ask, first: Mapping[str, Any], second: Mapping[str, Any], kind: str
) -> None:
    ask.fake.fail(**first, for_model=HAIKU)
    ask.fake.fail(**second, for_model=SONNET)
    verdict = ask(fallback_model=SONNET)
    assert (verdict.bucket, verdict.fallback_reason) == ("general", kind)


def test_the_reason_names_both_failures(ask: Ask) -> None:
    ask.fake.fail(**REFUSAL)
    ask.fake.fail(404)
    verdict = ask(fallback_model=SONNET)
    assert verdict.reason == (
        "claude-haiku-5-5: Claude refused to classify the message (cyber); "
        "claude-sonnet-5-5: Claude returned 404 (not_found_error)"
    )


def test_the_shorter_of_two_requested_delays_is_reported(ask: Ask) -> None:
    ask.fake.fail(429, headers={"retry-after": "60"}, for_model=HAIKU)
    ask.fake.fail(429, headers={"retry-after": "40"}, for_model=SONNET)
    assert ask(fallback_model=SONNET).retry_after == 40


def test_both_failures_are_logged(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "triage")
    ask.fake.fail(**REFUSAL)
    ask.fake.fail(404)
    ask(fallback_model=SONNET)
    assert get_levels(caplog) == ["WARNING", "ERROR"]
    assert "asking claude-sonnet-5-5: Claude refused to classify the message (cyber)" in caplog.text


# Settings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Claude(fallback_model=""), "fallback_model is empty"),
        (lambda: Claude(fallback_model=" claude-sonnet-5-5"), "fallback_model contains whitespace"),
        (lambda: Claude(fallback_model="sonnet"), "not the name of a Claude model"),
        (lambda: Claude(fallback_model=HAIKU), "fallback_model is the same model as 'claude-haiku-5-5'"),
        (lambda: Claude("claude-haiku-4-5", fallback_model="claude-haiku-4-5-20251001"), "is the same model"),
        (lambda: Claude("claude-haiku-4-5@20251001", fallback_model="claude-haiku-4-5"), "is the same model"),
        (lambda: Claude(fallback_model=Claude()), "must be the id of a model, not Claude"),  # type: ignore[arg-type]
        (lambda: Claude(3), "model must be the id of a model, not int"),  # type: ignore[arg-type]
    ],
)
def test_an_invalid_fallback_model_is_rejected(make: Callable[[], Claude], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_a_fallback_model_that_could_be_a_key_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Claude(fallback_model="sk-ant-hush")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("name", ["anthropic.claude-sonnet-5-5", "arn:aws:bedrock:eu:1:inference-profile/x"])
def test_a_fallback_model_may_have_a_name_of_another_platform(name: str) -> None:
    assert Claude(fallback_model=name).fallback_model == name


def test_the_repr_contains_the_fallback_model() -> None:
    assert repr(Claude(fallback_model=SONNET)) == "Claude('claude-haiku-5-5', fallback_model='claude-sonnet-5-5')"
