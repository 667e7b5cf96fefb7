"""The policy: what is refused when it is written down, what a verdict leads to, how texts are filled in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import (
    Action,
    Assign,
    Bucket,
    Buckets,
    Close,
    ConfigurationError,
    Conversation,
    Customer,
    Note,
    Reply,
    SetFields,
    Snooze,
    Tag,
    Verdict,
    default_buckets,
)
from triage.policy import check_templates, decide, render

BILLING = Bucket("billing", "Money", [Assign(team="1"), Reply("Thanks")], min_confidence=0.6)
GENERAL = Bucket("general", "Anything else", [Assign(team="2")])
SPAM = Bucket("spam", "Pitches", [Close()])
BUCKETS = Buckets([BILLING, GENERAL, SPAM])
CONVERSATION = Conversation(id="1", customer=Customer(name="Mira"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bucket("Billing", "Money"), "a name is 1 to 64 of"),
        (lambda: Bucket("", "Money"), "a name is 1 to 64 of"),
        (lambda: Bucket("billing", "  "), "it is the prompt"),
        (lambda: Bucket("billing", "Money", min_confidence=1.5), "from 0 to 1, not 1.5"),
        (lambda: Bucket("billing", "Money", mode="loud"), "'auto', 'suggest' or 'shadow', not 'loud'"),  # type: ignore[arg-type]
        (lambda: Buckets([]), "There are no buckets"),
        (lambda: Buckets([BILLING, BILLING], fallback="billing"), "Two buckets are named 'billing'"),
        (lambda: Buckets([BILLING]), "fallback='general' is none of the buckets: billing"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_with_what_to_change(make: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()  # type: ignore[operator]


def test_buckets_are_a_sequence_with_names() -> None:
    assert len(BUCKETS) == 3
    assert BUCKETS[0] is BILLING
    assert list(BUCKETS[1:]) == [GENERAL, SPAM]
    assert BUCKETS.get(" Billing ") is BILLING, "models return labels in mixed case"
    assert BUCKETS.get("refunds") is None
    assert repr(BUCKETS) == "Buckets(billing, general, spam, fallback='general')"


def test_a_confident_verdict_gets_its_buckets_actions() -> None:
    decision = decide(Verdict(bucket="billing", confidence=0.6), BUCKETS, None)
    assert (decision.status, decision.actions, decision.act) == ("routed", BILLING.actions, True)


def test_a_doubtful_verdict_goes_to_review_or_else_to_the_fallback() -> None:
    doubtful = Verdict(bucket="billing", confidence=0.59)
    review = [Note("{bucket} {confidence} {reason}")]
    assert decide(doubtful, BUCKETS, review).actions == review
    assert decide(doubtful, BUCKETS, review).status == "review"
    assert decide(doubtful, BUCKETS, None).actions == GENERAL.actions


def test_a_fallback_verdict_goes_to_the_fallback_bucket_and_not_to_review() -> None:
    buckets = Buckets([BILLING], fallback="billing")
    decision = decide(Verdict(bucket="billing", confidence=0, fallback=True), buckets, [Note("?")])
    assert decision.actions == BILLING.actions


def test_suggest_leaves_a_note_and_shadow_only_reports() -> None:
    suggesting = Buckets([Bucket("general", "All", [Close()], mode="suggest")])
    decision = decide(Verdict(bucket="general"), suggesting, None)
    assert decision.status == "suggested"
    assert [type(action) for action in decision.actions] == [Note]
    shadowed = decide(Verdict(bucket="general"), Buckets([Bucket("general", "All", [Close()], mode="shadow")]), None)
    assert (shadowed.status, shadowed.actions, shadowed.act) == ("shadowed", [Close()], False)


def test_texts_fields_and_times_are_filled_in() -> None:
    verdict = Verdict(bucket="billing", confidence=0.934, reason="Charged  twice.\n", extra={"language": "de"})
    actions: list[Action] = [
        Reply("Hi {customer_name}, {{ok}}"),
        Note("{bucket} {confidence}: {reason} [{language}]"),
        SetFields({"triage": "{bucket}", "score": 3}),
        Snooze(timedelta(hours=1)),
        Snooze(datetime(2026, 1, 1, tzinfo=UTC)),
        Tag("x"),
    ]
    assert render(actions, verdict, CONVERSATION, now=0.0) == [
        Reply("Hi Mira, {ok}"),
        Note("billing 93%: Charged twice. [de]"),
        SetFields({"triage": "billing", "score": 3}),
        Snooze(datetime(1970, 1, 1, 1, tzinfo=UTC)),
        Snooze(datetime(2026, 1, 1, tzinfo=UTC)),
        Tag("x"),
    ]


def test_a_note_of_a_reason_that_was_not_given_is_left_out() -> None:
    actions: list[Action] = [Note("{reason}"), Tag("x"), Note(" {reason} "), SetFields({"why": "{reason}"})]
    rendered = render(actions, Verdict(bucket="billing"), CONVERSATION, now=0.0)
    assert rendered == [Tag("x"), SetFields({"why": ""})]


def test_a_customer_without_a_name_is_greeted_all_the_same() -> None:
    assert render([Reply("Hi {customer_name},")], Verdict(bucket="b"), Conversation(id="1"), 0.0) == [
        Reply("Hi there,")
    ]


def test_an_extra_field_that_the_verdict_lacks_is_empty() -> None:
    check_templates([Note("[{language}]")], where="review", extra=["language"])
    assert render([Note("[{language}]")], Verdict(bucket="b"), CONVERSATION, 0.0) == [Note("[]")]


@given(st.text(), st.text())
def test_untrusted_words_are_one_line_and_bounded_and_never_a_template(name: str, reason: str) -> None:
    conversation = Conversation(id="1", customer=Customer(name=name))
    (note,) = render([Note("{customer_name}|{reason}")], Verdict(bucket="b", reason=reason), conversation, 0.0)
    assert isinstance(note, Note)
    assert "\n" not in note.body
    assert len(note.body) <= 80 + 1 + 500


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Reply("{name}"), r"holds \{name\}; there is only \{bucket\}, \{confidence\}, \{customer_name\}"),
        (Reply("{reason}"), "written by a model about untrusted text.*Put it into a Note"),
        (Reply("{language}"), "written by a model"),
        (Reply("100 {"), r"Write \{\{ and \}\} for braces"),
        (Note("{}"), "there is only"),
        (Note("{bucket!r}"), "there is only"),
        (Note("{confidence:.2f}"), "there is only"),
        (Note("{bucket.__class__}"), "there is only"),
        (SetFields({"x": "{nothing}"}), "there is only"),
    ],
)
def test_a_text_that_cannot_be_filled_in_is_refused(action: Action, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Bucket 'x': .*{message}"):
        check_templates([action], where="Bucket 'x'", extra=["language"])


def test_texts_that_can_be_filled_in_pass() -> None:
    check_templates(
        [Reply("{customer_name}"), Note("{reason}"), SetFields({"a": "{bucket}", "b": 1}), Close()], where="x"
    )


def test_the_default_buckets_hold_the_reply_times() -> None:
    buckets = {bucket.name: bucket for bucket in default_buckets({"urgent": "1", "billing": "2", "general": "3"})}
    assert list(buckets) == ["urgent", "billing", "general", "spam"]
    for name, team, promise in (
        ("urgent", "1", "15 minutes"),
        ("billing", "2", "one business day"),
        ("general", "3", "four business hours"),
    ):
        assign, reply = buckets[name].actions
        assert assign == Assign(team=team)
        assert isinstance(reply, Reply)
        assert promise in reply.body
    assert buckets["spam"].actions == [Close()]


def test_default_buckets_without_teams_assign_to_nobody() -> None:
    assert not [action for bucket in default_buckets() for action in bucket.actions if isinstance(action, Assign)]


@pytest.mark.parametrize(
    ("teams", "message"), [({"sales": "1"}, "teams names sales"), ({"urgent": ""}, "no id for urgent")]
)
def test_wrong_teams_are_refused(teams: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        default_buckets(teams)


def test_the_default_buckets_take_their_teams_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Set INTERCOM_TEAM_ONCALL, INTERCOM_TEAM_BILLING, INTERCOM_TEAM_SUPPORT"
    ):
        default_buckets.from_env("INTERCOM")
    for number, team in enumerate(("ONCALL", "BILLING", "SUPPORT")):
        monkeypatch.setenv(f"INTERCOM_TEAM_{team}", str(number))
    assert [bucket.actions[0] for bucket in default_buckets.from_env("INTERCOM")[:3]] == [
        Assign(team="0"),
        Assign(team="1"),
        Assign(team="2"),
    ]
