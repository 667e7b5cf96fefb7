"""The policy: mistakes are rejected early, a verdict leads to actions, and their texts are filled in."""

from datetime import UTC, datetime, timedelta
from typing import Any

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
    SetPriority,
    Snooze,
    Tag,
    Verdict,
)
from triage.policy import check_review, check_templates, decide, read_teams, render

BILLING = Bucket("billing", "Money", [Assign(team="1"), Reply("Thanks")], min_confidence=0.6)
GENERAL = Bucket("general", "Anything else", [Assign(team="2")])
SPAM = Bucket("spam", "Pitches", [Close()])
BUCKETS = Buckets([BILLING, GENERAL, SPAM])
CONVERSATION = Conversation(id="1", customer=Customer(name="Mira"))


def create_bucket(**arguments: Any) -> Bucket:
    return Bucket(**({"name": "general", "description": "Everything"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "Billing"}, r"Bucket 'Billing': a name has 1 to 64 of the characters .* Write 'billing'"),
        ({"name": "On call!"}, "Write 'on-call'"),
        ({"name": ""}, "Write 'billing'"),
        ({"name": None}, "Bucket None: a name has 1 to 64"),
        ({"name": "x" * 65}, "a name has 1 to 64"),
        ({"description": "  "}, "Bucket 'general': describe in a sentence what belongs here"),
        ({"description": None}, "describe in a sentence"),
        ({"description": [Reply("Hi")]}, "describe in a sentence"),
        ({"min_confidence": 1.5}, "min_confidence must be a number from 0 to 1, not 1.5"),
        ({"min_confidence": 80}, "not 80. Write 0.8 for 80%"),
        ({"min_confidence": float("nan")}, "not nan"),
        ({"min_confidence": "0.8"}, "not '0.8'"),
        ({"min_confidence": True}, "not True"),
        ({"min_confidence": None}, "not None"),
        ({"mode": "loud"}, "mode must be 'auto', 'suggest' or 'shadow', not 'loud'"),
        (
            {"examples": "I was charged twice."},
            r"a list of messages. Write \['I was charged twice.'\]",
        ),
        ({"examples": [1]}, "examples must be a list of messages"),
        ({"examples": [""]}, "examples must be a list of messages"),
    ],
)
def test_a_bucket_that_cannot_work_is_rejected_with_what_to_write_instead(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        create_bucket(**arguments)


MISTAKEN_ACTIONS: list[tuple[Any, str]] = [
    (Reply("Hi"), r"actions must be a list of actions, not Reply. Write \[Reply\(…\)\]"),
    ("close", r"actions must be a list of actions, not str. Write \[Reply\("),
    (None, "not None"),
    (Close, "not the class Close"),
    ({"close": Close()}, "not dict"),
    ({Close()}, "not set"),
    (["close"], r"actions\[0\] is the string 'close'. Write Close\(\)."),
    ([Close(), "reply"], r"actions\[1\] is the string 'reply'. Write Reply\('Thank you for your message.'\)"),
    (["Hello Jane"], r"actions\[0\] must be an action, not str"),
    ([Reply], r"actions\[0\] is the class Reply, not an instance of it. Write Reply\("),
    ([None], r"actions\[0\] must be an action, not None"),
    ([[Close()]], r"actions\[0\] is a list itself. Write all actions in one list"),
    ([lambda: Close()], r"actions\[0\] must be an action, not function"),
    ([Bucket], r"actions\[0\] must be an action, not the class Bucket"),
    ([Reply("Hi"), Reply("Bye")], "it has 2 replies, but a conversation gets at most one automatic reply"),
    ([SetPriority("high"), SetPriority("low")], "it has 2 SetPriority actions. Keep one"),
    ([Snooze(timedelta(hours=1)), Snooze(timedelta(hours=2))], "it has 2 Snooze actions"),
    ([Assign(team="1"), Assign(team="2")], "it assigns the conversation to two teams"),
    ([Assign(user="1"), Assign(team="2"), Assign(user="3")], "it assigns the conversation to two users"),
]


@pytest.mark.parametrize(("actions", "message"), MISTAKEN_ACTIONS)
def test_actions_with_a_mistake_are_rejected_with_what_to_write_instead(actions: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Bucket 'general': .*{message}"):
        create_bucket(actions=actions)
    if actions is not None:
        with pytest.raises(ConfigurationError, match=f"review: .*{message}"):
            check_review(actions, BUCKETS)


def test_an_error_about_actions_does_not_quote_a_text() -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_bucket(actions=["Hello Jane"])
    assert "Jane" not in str(caught.value)


def test_actions_that_complement_each_other_are_accepted() -> None:
    bucket = create_bucket(
        actions=(action for action in (Assign(team="1"), Assign(user="2"), Tag("a"), Tag("b"), Note("a"), Note("b")))
    )
    assert len(bucket.actions) == 6


def test_a_bucket_keeps_a_copy_of_its_actions() -> None:
    actions: list[Action] = [Close()]
    bucket = create_bucket(actions=actions)
    actions.append(Reply("{nothing}"))
    assert bucket.actions == (Close(),)


MISTAKEN_BUCKETS: list[tuple[Any, str]] = [
    ([], r"There are no buckets. Write at least one, or use Buckets.default\(\)"),
    ([GENERAL, GENERAL], "Two buckets are named 'general'. Rename one of them"),
    ([BILLING], "fallback='general' is not one of the buckets: billing. Write fallback='billing'"),
    (GENERAL, r"buckets must be a list of buckets, not a single one. Write \[Bucket\('general', …\)\]"),
    (Buckets.default, r"buckets must be a list of buckets, not a function. Call it: Buckets.default\(\)"),
    (Bucket, "not the class Bucket"),
    (None, "not None"),
    ("general", "not str"),
    ({"general": [Close()]}, r"not dict. Write \[Bucket\("),
    (["general"], r"buckets\[0\] must be a Bucket, not str. Write Bucket\("),
    ([GENERAL, Close()], r"buckets\[1\] must be a Bucket, not Close"),
    ([[GENERAL]], r"buckets\[0\] must be a Bucket, not list"),
    ([Bucket], r"buckets\[0\] must be a Bucket, not the class Bucket"),
]


@pytest.mark.parametrize(("buckets", "message"), MISTAKEN_BUCKETS)
def test_buckets_with_a_mistake_are_rejected_with_what_to_write_instead(buckets: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Buckets(buckets)


@pytest.mark.parametrize("fallback", ["refunds", "", "General", GENERAL, 1])
def test_a_fallback_must_be_the_name_of_a_bucket(fallback: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not one of the buckets: billing, general, spam"):
        Buckets(BUCKETS, fallback=fallback)


def test_buckets_keep_their_fallback() -> None:
    buckets = Buckets([BILLING, SPAM], fallback="billing")
    assert Buckets(buckets).fallback is BILLING
    assert Buckets(buckets, fallback="spam").fallback is SPAM
    assert Buckets(list(BUCKETS)).fallback is GENERAL


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


def test_a_doubtful_verdict_gets_the_review_actions_or_else_those_of_the_fallback_bucket() -> None:
    doubtful = Verdict(bucket="billing", confidence=0.59)
    review = [Note("{bucket} {confidence} {reason}")]
    assert decide(doubtful, BUCKETS, review).actions == review
    assert decide(doubtful, BUCKETS, review).status == "review"
    assert decide(doubtful, BUCKETS, None).actions == GENERAL.actions


def test_a_fallback_verdict_gets_the_actions_of_the_fallback_bucket_not_the_review_actions() -> None:
    buckets = Buckets([BILLING], fallback="billing")
    decision = decide(Verdict(bucket="billing", confidence=0, fallback_reason="unavailable"), buckets, [Note("?")])
    assert decision.actions == BILLING.actions


def test_a_confidence_that_can_have_no_effect_is_rejected() -> None:
    buckets = Buckets([BILLING], fallback="billing")
    with pytest.raises(ConfigurationError, match=r"Bucket 'billing': min_confidence has no effect .*review=\[…\]"):
        check_review(None, buckets)
    assert check_review([], buckets) == ()
    assert check_review([Note("?")], buckets) == (Note("?"),)
    assert check_review(None, BUCKETS) is None


def test_suggest_leaves_a_note_and_shadow_only_reports() -> None:
    suggesting = Buckets([Bucket("general", "All", [Close()], mode="suggest")])
    decision = decide(Verdict(bucket="general"), suggesting, None)
    assert decision.status == "suggested"
    assert [type(action) for action in decision.actions] == [Note]
    shadowed = decide(Verdict(bucket="general"), Buckets([Bucket("general", "All", [Close()], mode="shadow")]), None)
    assert (shadowed.status, shadowed.actions, shadowed.act) == ("shadowed", (Close(),), False)


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


def test_a_note_that_would_be_empty_is_left_out() -> None:
    actions: list[Action] = [Note("{reason}"), Tag("x"), Note(" {reason} "), SetFields({"why": "{reason}"})]
    rendered = render(actions, Verdict(bucket="billing"), CONVERSATION, now=0.0)
    assert rendered == [Tag("x"), SetFields({"why": ""})]


def test_a_customer_without_a_name_is_greeted_with_there() -> None:
    assert render([Reply("Hi {customer_name},")], Verdict(bucket="b"), Conversation(id="1"), 0.0) == [
        Reply("Hi there,")
    ]


def test_an_extra_field_that_the_verdict_lacks_is_empty() -> None:
    check_templates([Note("[{language}]")], where="review", extra=["language"])
    assert render([Note("[{language}]")], Verdict(bucket="b"), CONVERSATION, 0.0) == [Note("[]")]


@pytest.mark.parametrize("text", ["{{x}}", "{%x%}", "{", "%x%}", "{{{", "x{"])
def test_untrusted_text_never_opens_a_placeholder_of_the_help_desk(text: str) -> None:
    conversation = Conversation(id="1", customer=Customer(name="Mira"))
    verdict = Verdict(bucket="b", reason=text)
    template = "{reason}{reason}{{{reason}{{{{x}}}}{reason}{{x"
    (note,) = render([Note(template)], verdict, conversation, 0.0)
    assert isinstance(note, Note)
    assert "{%" not in note.body
    assert note.body.count("{{") == 1, "the policy's own placeholder"


@given(st.text(), st.text())
def test_untrusted_text_is_filled_in_as_one_short_line_and_never_as_a_template(name: str, reason: str) -> None:
    conversation = Conversation(id="1", customer=Customer(name=name))
    (note,) = render([Note("{customer_name}|{reason}")], Verdict(bucket="b", reason=reason), conversation, 0.0)
    assert isinstance(note, Note)
    assert "\n" not in note.body
    assert len(note.body) <= 80 + 1 + 500


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            Reply("{name}"),
            r"\{name\}, but only \{bucket\}, \{confidence\}, \{customer_name\} can be",
        ),
        (Reply("{reason}"), r"a model writes \{reason\} about untrusted text.* Use it in a Note instead"),
        (Reply("{language}"), "a model writes"),
        (Reply("100 {"), r"Write \{\{ and \}\} for braces"),
        (Note("{}"), "can be filled in"),
        (Note("{bucket!r}"), "can be filled in"),
        (Note("{confidence:.2f}"), "can be filled in"),
        (Note("{bucket.__class__}"), "can be filled in"),
        (SetFields({"x": "{nothing}"}), "SetFields: 'x': it contains"),
    ],
)
def test_a_text_that_cannot_be_filled_in_is_rejected(action: Action, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Bucket 'x': .*{message}"):
        check_templates([action], where="Bucket 'x'", extra=["language"])


def test_a_text_that_can_be_filled_in_is_accepted() -> None:
    check_templates(
        [Reply("{customer_name}"), Note("{reason}"), SetFields({"a": "{bucket}", "b": 1}), Close()], where="x"
    )


def test_an_error_about_a_text_does_not_quote_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_templates([Reply("Dear Jane {")], where="x")
    assert "Jane" not in str(caught.value)


# The default buckets


def test_the_default_buckets_promise_reply_times() -> None:
    buckets = Buckets.default(teams={"urgent": "1", "billing": 2, "general": "3"})
    assert buckets.names == ("urgent", "billing", "general", "spam")
    assert buckets.fallback.name == "general"
    for name, team, promise in (
        ("urgent", "1", "15 minutes"),
        ("billing", "2", "one business day"),
        ("general", "3", "four business hours"),
    ):
        bucket = buckets.get(name)
        assert bucket is not None
        assign, reply = bucket.actions
        assert assign == Assign(team=team)
        assert isinstance(reply, Reply)
        assert reply.body.startswith("Hi {customer_name},\n\nThank you ")
        assert promise in reply.body
    assert buckets[3].actions == (Close(),)


def test_the_default_buckets_without_teams_assign_to_nobody() -> None:
    assert not [action for bucket in Buckets.default() for action in bucket.actions if isinstance(action, Assign)]


@pytest.mark.parametrize(
    ("teams", "message"),
    [
        ({"sales": "1"}, "teams contains 'sales', but only urgent, billing, general can have a team"),
        ({"spam": "1"}, "teams contains 'spam'"),
        ({"urgent": ""}, "teams has no id for urgent"),
        ({"urgent": None, "billing": " "}, "teams has no id for urgent, billing"),
        ("12345", r"teams must be a dictionary of team ids. Write teams=\{'billing': '12345'\}"),
        (["1", "2", "3"], "teams must be a dictionary"),
        ({"urgent": 1.5}, "Assign: team must be the vendor's id"),
    ],
)
def test_teams_with_a_mistake_are_rejected(teams: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Buckets.default(teams)


def test_the_ids_of_the_teams_are_read_from_variables() -> None:
    variables = {"INTERCOM_TEAM_ONCALL": "1", "INTERCOM_TEAM_BILLING": "2", "INTERCOM_TEAM_SUPPORT": "3"}
    assert read_teams(variables.__getitem__, "INTERCOM") == {"urgent": "1", "billing": "2", "general": "3"}
    with pytest.raises(ConfigurationError, match=r"Set INTERCOM_TEAM_ONCALL, INTERCOM_TEAM_SUPPORT to the ids"):
        read_teams({**variables, "INTERCOM_TEAM_ONCALL": "", "INTERCOM_TEAM_SUPPORT": ""}.__getitem__, "INTERCOM")
