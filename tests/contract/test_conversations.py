"""What the Router does depends on the conversation: who has it, where it was routed, how late it is."""

import asyncio
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk
from tests.helpers.routing import handle, only, step_results
from triage import (
    Action,
    Assign,
    Bucket,
    Close,
    ConfigurationError,
    Conversation,
    Limits,
    Note,
    Outcome,
    Reply,
    Router,
    Run,
    Tag,
    Verdict,
)
from triage.classifiers import Classifier
from triage.inbox import MemoryInbox
from triage.models import RunContext
from triage.policy import Buckets
from triage.testing import Webhook

DAY = 86400.0


class CountingClassifier(Classifier):
    """Chooses the first bucket whose name the customer's words contain, and remembers what it read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.texts.append(conversation.text)
        text = conversation.turn[-1].text.lower() if conversation.turn else ""
        return Verdict(bucket=next((name for name in buckets.names if name in text), buckets.fallback.name))


class Scene:
    """A help desk, a Router with three buckets, and the messages of one customer."""

    def __init__(self, desk: Desk, api: Api) -> None:
        self.desk = desk
        self.api = api
        self.classifier = CountingClassifier()
        self.conversation: str | None = None

    def create_router(self, **options: Any) -> Router:
        team = self.desk.teams
        buckets = [
            Bucket("urgent", "Urgent.", [Assign(team=team["urgent"])]),
            Bucket("general", "General.", [Assign(team=team["general"])]),
            Bucket("spam", "Spam.", [Close()]),
        ]
        options = {"buckets": buckets, "fallback": "general", "classifier": self.classifier} | options
        return self.desk.router(vendor=self.desk.adapter(**self.desk.everything), **options)

    def write(self, text: str, **options: Any) -> Webhook:
        webhook = self.desk.fake.customer_writes(text, conversation=self.conversation, **options)
        self.conversation = webhook.conversation_id
        self.desk.clock.now += 60
        return webhook

    def route(self, router: Router, text: str, **options: Any) -> Outcome:
        return handle(self.api, router, self.write(text, **options))[1]

    def answer(self, text: str = "I have it.", agent: str | None = None) -> None:
        assert self.conversation is not None
        self.desk.fake.agent_writes(text, conversation=self.conversation, agent=agent)
        self.desk.clock.now += 60

    @property
    def state(self) -> Any:
        return self.desk.fake.conversations[self.conversation or ""]

    @property
    def team(self) -> str | None:
        return self.desk.assigned(self.state)

    @property
    def replies(self) -> list[str]:
        return self.desk.fake.replies(self.conversation or "")


@pytest.fixture
def scene(desk: Desk, api: Api) -> Scene:
    return Scene(desk, api)


# The unanswered turn


def test_messages_that_arrive_before_the_first_is_processed_are_judged_together(desk: Desk, scene: Scene) -> None:
    first = scene.write("Something urgent.")
    scene.write("Hello??")
    texts: list[str] = []

    def classify(text: str) -> str:
        texts.append(text)
        return "urgent" if "urgent" in text else "general"

    handle(scene.api, scene.create_router(classifier=classify), first)
    assert texts == ["Something urgent.\n\nHello??"]
    assert scene.team == desk.teams["urgent"]


def test_what_a_human_has_answered_is_not_judged_again(scene: Scene) -> None:
    scene.write("Something urgent.")
    scene.answer()
    scene.desk.clock.now += 8 * DAY
    scene.route(scene.create_router(), "General question")
    assert scene.classifier.texts == ["General question"]


def test_a_message_that_an_earlier_verdict_covers_costs_no_second_verdict(scene: Scene) -> None:
    router = scene.create_router()
    first = scene.write("Something urgent.")
    second = scene.write("Hello??")
    handle(scene.api, router, first)
    outcome = handle(scene.api, router, second)[1]
    assert (outcome.status, outcome.reason) == ("superseded", "an earlier verdict already covers the message")
    assert len(scene.classifier.texts) == 1


def test_a_stored_message_is_superseded_by_a_newer_one_of_its_conversation(desk: Desk, scene: Scene) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    router = scene.create_router(inbox=inbox)
    webhooks = [scene.write(text) for text in ("Something urgent.", "Hello??", "Still urgent!")]
    keys = [handle(scene.api, router, webhook)[1].key or "" for webhook in webhooks]
    outcomes = [scene.api.process(router, key) for key in keys]
    assert [outcome.status for outcome in outcomes] == ["superseded", "superseded", "routed"]
    assert outcomes[0].reason == "a newer message of the conversation covers it"
    assert scene.classifier.texts == ["Something urgent.\n\nHello??\n\nStill urgent!"]
    assert scene.team == desk.teams["urgent"]


def test_with_a_debounce_a_message_waits_until_the_customer_has_finished(desk: Desk, scene: Scene) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    router = scene.create_router(inbox=inbox, debounce="90s")
    key = handle(scene.api, router, scene.write("My account"))[1].key or ""
    assert scene.api.process(router, key).status == "duplicate", "it is not due yet"
    later = handle(scene.api, router, scene.write("is in urgent trouble"))[1].key or ""
    desk.clock.now += 90
    assert [scene.api.process(router, one).status for one in (key, later)] == ["superseded", "routed"]
    assert len(scene.classifier.texts) == 1


def test_a_customer_who_never_stops_writing_is_not_put_off_forever(desk: Desk, scene: Scene) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    router = scene.create_router(inbox=inbox, debounce="60s", limits=Limits(max_per_conversation=None))
    statuses = []
    key = handle(scene.api, router, scene.write("urgent 0"))[1].key or ""
    for number in range(1, 15):
        later = handle(scene.api, router, scene.write(f"urgent {number}"))[1].key or ""
        desk.clock.now += 1
        statuses.append(scene.api.process(router, key).status)
        key = later
    assert "routed" in statuses[:12]


def test_a_message_that_arrives_while_another_is_processed_is_processed_afterwards(desk: Desk) -> None:
    async def deliver_both() -> list[str]:
        scene = Scene(desk, Api("async"))
        texts: list[str] = []
        second: list[Webhook] = []

        async def classify(text: str) -> str:
            texts.append(text)
            if not second:
                second.append(scene.write("It is urgent"))
                statuses.append((await router.handle_async(second[0].body, second[0].headers)).outcome.status)
            return "urgent" if "urgent" in text else "general"

        statuses: list[str] = []
        router = scene.create_router(classifier=classify)
        first = scene.write("Hello")
        statuses.append((await router.handle_async(first.body, first.headers)).outcome.status)
        assert texts == ["Hello", "Hello\n\nIt is urgent"]
        assert scene.team == desk.teams["urgent"]
        await router.aclose()
        return statuses

    assert asyncio.run(deliver_both()) == ["accepted", "routed"]


# Rerouting


def test_a_routed_conversation_moves_only_to_a_more_important_bucket(desk: Desk, scene: Scene) -> None:
    router = scene.create_router()
    assert scene.route(router, "General question").status == "routed"
    assert scene.route(router, "Is this spam?").reason == "the conversation stays in 'general'"
    assert scene.state.state == "open"
    assert scene.route(router, "Now it is urgent").status == "routed"
    assert scene.team == desk.teams["urgent"]
    assert scene.route(router, "A general remark").status == "ignored"
    assert scene.team == desk.teams["urgent"]


def test_a_conversation_stays_where_people_moved_it_within_its_bucket(desk: Desk, scene: Scene) -> None:
    router = scene.create_router()
    scene.route(router, "General question")
    scene.state.team = desk.teams["billing"]
    assert scene.route(router, "A general remark").reason == "the conversation is already in 'general'"
    assert scene.state.team == desk.teams["billing"]


@pytest.mark.parametrize(
    ("reroute", "first", "then", "team"),
    [
        ("always", "urgent", "general", "general"),
        ("never", "general", "urgent", "general"),
    ],
)
def test_reroute_says_whether_a_routed_conversation_may_move(
    desk: Desk, scene: Scene, reroute: Any, first: str, then: str, team: str
) -> None:
    router = scene.create_router(reroute=reroute)
    scene.route(router, first)
    scene.route(router, then)
    assert scene.team == desk.teams[team]


def test_without_a_verdict_a_routed_conversation_stays_where_it_is(desk: Desk, scene: Scene) -> None:
    router = scene.create_router(fallback="general")
    scene.route(router, "Something urgent.")
    scene.classifier.classify = lambda conversation, buckets: Verdict(bucket="nonsense")  # type: ignore[method-assign]
    outcome = scene.route(router, "More.")
    assert (outcome.status, outcome.reason) == ("ignored", "there is no verdict, so the conversation stays in 'urgent'")
    assert scene.team == desk.teams["urgent"]


def test_an_attachment_without_words_changes_nothing_on_a_routed_conversation(desk: Desk, scene: Scene) -> None:
    router = scene.create_router(classifier=lambda text: "urgent" if "urgent" in text else "general")
    scene.route(router, "Something urgent.")
    scene.route(router, "", attachments=["screenshot.png"])
    assert scene.team == desk.teams["urgent"]


# Humans


def test_a_conversation_belongs_to_the_human_who_answered_for_as_long_as_the_hold(desk: Desk, scene: Scene) -> None:
    router = scene.create_router()
    scene.write("Hello")
    scene.answer()
    desk.clock.now += 6 * DAY
    assert scene.route(router, "It is urgent").reason == "a human has answered"
    desk.clock.now += 2 * DAY
    assert scene.route(router, "It is urgent again").status == "routed"


def test_no_verdict_is_requested_if_every_action_is_ruled_out(scene: Scene) -> None:
    router = scene.create_router()
    scene.write("Hello")
    scene.answer()
    assert scene.route(router, "It is urgent").verdict is None
    assert scene.classifier.texts == []


def test_a_label_that_is_allowed_is_worth_a_verdict(scene: Scene) -> None:
    router = scene.create_router(buckets=only(Tag("seen"), Reply("Hi")))
    scene.write("Hello")
    scene.answer()
    assert step_results(scene.route(router, "One more thing")) == ["tag:done", "reply:skipped"]


def test_a_human_who_shares_our_account_is_a_human(desk: Desk, scene: Scene) -> None:
    router = scene.create_router(buckets=only(Assign(team=desk.teams["general"])))
    scene.write("Hello")
    scene.answer("This is Ada in person.", agent=next(iter(desk.fake.users)))
    assert scene.route(router, "Thank you, and also").reason == "a human has answered"


def test_a_human_whose_message_begins_like_our_reply_is_a_human(desk: Desk, scene: Scene) -> None:
    if desk.vendor.appends_signature:
        return  # there, the two cannot be told apart by their texts
    router = scene.create_router(buckets=only(Assign(team=desk.teams["general"]), Reply("Hi")))
    scene.write("Hello")
    scene.answer("Hi, this is Ada in person.", agent=next(iter(desk.fake.users)))
    assert scene.route(router, "Thank you, and also").reason == "a human has answered"


def test_our_own_reply_is_recognized_after_a_restart(desk: Desk, scene: Scene) -> None:
    buckets = only(Reply("Hi {customer_name}, we have your message."), Tag("seen"))
    scene.route(scene.create_router(buckets=buckets), "Hello")
    assert len(scene.replies) == 1
    outcome = scene.route(scene.create_router(buckets=buckets), "Anybody there?")
    assert step_results(outcome) == ["tag:done", "reply:skipped"]
    assert outcome.steps[-1].detail == "the customer already has an automatic reply"


# Time and state


def test_an_old_message_is_labeled_but_not_answered(desk: Desk, scene: Scene) -> None:
    router = scene.create_router(buckets=only(Tag("seen"), Reply("We answer within an hour.")))
    webhook = scene.write("Hello")
    desk.clock.now += 4 * DAY
    event = router.receive(webhook.body, {**webhook.headers, **desk.sign(webhook.body)}).event
    assert event is not None
    outcome = scene.api.process(router, event)
    assert step_results(outcome) == ["tag:done", "reply:skipped"]
    assert outcome.steps[1].detail == "the message is older than 3d"


def close(scene: Scene) -> None:
    """Close the conversation, as a human does."""
    scene.state.state = "closed"


def test_a_closed_conversation_is_labeled_but_neither_answered_nor_assigned(desk: Desk, scene: Scene) -> None:
    actions: list[Action] = [Tag("seen"), Assign(team=desk.teams["general"]), Reply("Hi"), Close()]
    router = scene.create_router(buckets=only(*actions))
    webhook = scene.write("Hello")
    close(scene)
    outcome = handle(scene.api, router, webhook)[1]
    assert sorted(step_results(outcome)) == ["assign:skipped", "close:skipped", "reply:skipped", "tag:done"]
    assert scene.state.state == "closed"


def test_an_imported_archive_is_ignored(desk: Desk, scene: Scene) -> None:
    router = scene.create_router(buckets=only(Tag("seen"), Reply("Hi")))
    webhook = scene.write("Hello")
    close(scene)
    desk.clock.now += 400 * DAY
    event = router.receive(webhook.body, {**webhook.headers, **desk.sign(webhook.body)}).event
    assert event is not None
    outcome = scene.api.process(router, event)
    assert (outcome.status, outcome.verdict, scene.classifier.texts) == ("ignored", None, [])
    assert outcome.reason == "the conversation is closed, and the message is older than 3d"


# Filters


def test_when_decides_before_the_verdict_whether_to_route(scene: Scene) -> None:
    seen: list[Conversation] = []

    def accept(conversation: Conversation) -> bool:
        seen.append(conversation)
        return False

    outcome = scene.route(scene.create_router(when=accept), "Hello")
    assert (outcome.status, outcome.reason) == ("ignored", "the Router's `when` function rejected the conversation")
    assert ([c.id for c in seen], scene.classifier.texts) == ([scene.conversation], [])


def test_a_conversation_that_another_rule_has_routed_can_be_left_alone(desk: Desk, scene: Scene) -> None:
    webhook = scene.write("Something urgent.")
    scene.state.team = desk.teams["billing"]
    router = scene.create_router(when=lambda conversation: conversation.team is None)
    if desk.name != "helpscout":  # it has no teams
        assert handle(scene.api, router, webhook)[1].status == "ignored"
        assert scene.team == desk.teams["billing"]


def test_a_when_function_that_raises_does_not_lose_the_message(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    def accept(conversation: Conversation) -> bool:
        raise KeyError(conversation.text)

    assert scene.route(scene.create_router(when=accept), "Secret 4711").status == "routed"
    assert f"the Router's `when` function raised KeyError at {__file__}" in caplog.text
    assert "4711" not in caplog.text


def test_conversations_with_a_tag_can_be_left_alone(scene: Scene) -> None:
    webhook = scene.write("Something urgent.")
    scene.state.tags.append("No-Triage")
    outcome = handle(scene.api, scene.create_router(ignore_tags=["no-triage"]), webhook)[1]
    assert (outcome.status, outcome.reason) == ("ignored", "the conversation has the tag 'no-triage'")


# Missing verdicts


def test_a_missing_verdict_can_have_a_lane_of_its_own(desk: Desk, scene: Scene) -> None:
    refused = Verdict(bucket="general", confidence=0, fallback_reason="refused", reason="Claude refused")
    lanes = {"refused": [Assign(team=desk.teams["urgent"]), Note("No verdict: {reason}")]}
    outcome = scene.route(
        scene.create_router(classifier=lambda text: refused, fallbacks=lanes), "My account was hacked"
    )
    assert (outcome.status, scene.team) == ("review", desk.teams["urgent"])
    unavailable = refused.model_copy(update={"fallback_reason": "unavailable"})
    scene.conversation = None
    outcome = scene.route(scene.create_router(classifier=lambda text: unavailable, fallbacks=lanes), "Hello")
    assert (outcome.status, scene.team) == ("routed", desk.teams["general"])


def test_a_refusal_goes_to_the_review_actions_at_once(desk: Desk, scene: Scene) -> None:
    refused = Verdict(bucket="general", confidence=0, fallback_reason="refused", reason="Claude refused")
    router = scene.create_router(classifier=lambda text: refused, review=[Assign(team=desk.teams["urgent"])])
    assert scene.route(router, "My account was hacked").status == "review"
    assert scene.team == desk.teams["urgent"]


# Steps

several_calls = pytest.mark.parametrize("desk", [name for name in DESKS if name != "zendesk"], indirect=True)
"""Zendesk makes all changes in one call, so that its own tests cover rejections."""


def fail_label(desk: Desk, **fault: Any) -> list[Action]:
    """Return actions, and let the help desk reject the note among them."""
    # At some desks, a reply and a note are the same call, and the reply comes first.
    desk.fake.fail(desk.note, **{"status": 422, "skip": int(desk.note == desk.reply)} | fault)
    return [Note("Seen"), Tag("seen")]


@several_calls
def test_a_rejected_label_stops_nothing_but_closing(desk: Desk, scene: Scene) -> None:
    router = scene.create_router(
        buckets=only(Assign(team=desk.teams["general"]), *fail_label(desk), Reply("Hi"), Close())
    )
    outcome = scene.route(router, "Hello")
    assert outcome.status == "partial"
    assert "note:rejected" in step_results(outcome)
    assert outcome.reason.startswith("note: ")
    assert "422" in outcome.reason
    assert (scene.team, len(scene.replies), scene.state.state) == (desk.teams["general"], 1, "open")
    assert scene.state.tags == ["seen"]


@several_calls
def test_a_rejected_reply_fails_at_once_and_the_other_steps_go_on(desk: Desk, scene: Scene) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    router = scene.create_router(buckets=only(Reply("Hi"), Tag("seen")), inbox=inbox)
    desk.fake.fail(desk.reply, status=422)
    key = handle(scene.api, router, scene.write("Hello"))[1].key or ""
    outcome = scene.api.process(router, key)
    assert (outcome.status, inbox.count_states()["dead"]) == ("failed", 1)
    assert scene.state.tags == ["seen"]
    (entry,) = inbox.list_entries("dead")
    assert (entry.error or "").startswith("reply: ")


def test_a_redriven_event_follows_the_current_policy_and_repeats_nothing(desk: Desk, scene: Scene) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    assign = Assign(team=desk.teams["general"])
    wrong = scene.create_router(buckets=only(assign, Reply("Old")), inbox=inbox)
    key = handle(scene.api, wrong, scene.write("Hello"))[1].key or ""
    desk.fake.fail(desk.reply, status=403, times=None)
    assert scene.api.process(wrong, key, attempts=1).status == "failed"
    desk.fake.recover()
    calls = len(desk.fake.calls)
    right = scene.create_router(buckets=only(assign, Reply("New")), inbox=inbox)
    assert inbox.redrive(key)
    outcome = scene.api.process(right, key)
    assert (outcome.status, {result.status for result in outcome.steps}) == ("routed", {"done"})
    assert [reply for reply in scene.replies if "New" in reply] == scene.replies
    assert len(scene.replies) == 1
    writes = [call for call in desk.fake.calls[calls:] if call.method != "GET" and "token" not in call.path]
    assert len(writes) == 1, "the assignment is not repeated"
    assert len(scene.classifier.texts) == 1, "the verdict is not paid for twice"


def test_a_dry_run_handles_nothing(desk: Desk, scene: Scene) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    dry = scene.create_router(inbox=inbox, dry_run=True)
    webhook = scene.write("Something urgent.")
    key = handle(scene.api, dry, webhook)[1].key or ""
    outcome = scene.api.process(dry, key)
    assert (outcome.status, step_results(outcome)) == ("planned", ["assign:planned"])
    live = scene.create_router(inbox=inbox)
    assert handle(scene.api, live, desk.fake.redeliver(webhook))[1].status == "accepted"
    assert scene.api.process(live, key).status == "routed"
    assert scene.team == desk.teams["urgent"]


# Failures before anything was read


@pytest.mark.parametrize(
    ("fault", "status_code"),
    [
        ({"status": 429}, 503),
        ({"timeout": True}, 503),
        ({"status": 503}, 503),
        ({"status": 404}, 503),
        ({"status": 403}, 200),
    ],
)
def test_the_help_desk_is_asked_to_deliver_again_if_nothing_could_be_read(
    desk: Desk, scene: Scene, fault: Any, status_code: int
) -> None:
    desk.fake.fail(desk.read, times=None, headers={"Retry-After": "60"}, **fault)
    response, outcome = handle(scene.api, scene.create_router(), scene.write("Hello"))
    assert (response.status_code, outcome.status) == (status_code, "failed")


def test_a_conversation_that_is_still_missing_after_a_while_is_given_up(desk: Desk, scene: Scene) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    router = scene.create_router(inbox=inbox)
    key = handle(scene.api, router, scene.write("Hello"))[1].key or ""
    desk.fake.fail(desk.read, status=404, times=None)
    assert scene.api.process(router, key).status == "failed"
    assert inbox.count_states()["ready"] == 1
    desk.clock.now += 300
    scene.api.process(router, key)
    assert inbox.count_states()["dead"] == 1


# Functions


def test_a_run_action_calls_a_function_of_the_user(scene: Scene) -> None:
    calls: list[RunContext] = []
    buckets = only(Run("page", severity="high"), Tag("seen"))
    router = scene.create_router(buckets=buckets, functions={"page": calls.append})
    outcome = scene.route(router, "Something urgent.")
    assert step_results(outcome) == ["run:done", "tag:done"]
    (context,) = calls
    assert (context.key, context.arguments) == (outcome.key, {"severity": "high"})
    assert (context.conversation.id, context.verdict) == (scene.conversation, outcome.verdict)


def test_an_async_function_is_awaited(desk: Desk) -> None:
    scene, calls = Scene(desk, Api("async")), []

    async def page(context: RunContext) -> None:
        calls.append(context.key)

    outcome = scene.route(scene.create_router(buckets=only(Run("page")), functions={"page": page}), "Hello")
    assert (step_results(outcome), calls) == (["run:done"], [outcome.key])


def test_an_async_function_needs_an_async_entry_point(desk: Desk) -> None:
    async def page(context: RunContext) -> None:
        raise AssertionError

    scene = Scene(desk, Api("sync"))
    router = scene.create_router(buckets=only(Run("page")), functions={"page": page})
    with pytest.raises(ConfigurationError, match="The function 'page' is async only: call handle_async"):
        scene.route(router, "Hello")


def test_an_error_of_the_library_in_a_function_is_not_hidden(scene: Scene) -> None:
    def page(context: RunContext) -> None:
        raise ConfigurationError("No pager is configured.")

    router = scene.create_router(buckets=only(Run("page")), functions={"page": page})
    with pytest.raises(ConfigurationError, match="No pager is configured"):
        scene.route(router, "Hello")


def test_a_function_that_raises_is_called_again_later(desk: Desk, scene: Scene) -> None:
    calls: list[str] = []

    def page(context: RunContext) -> None:
        calls.append(context.key)
        if len(calls) == 1:
            raise KeyError(context.conversation.text)

    inbox = MemoryInbox(clock=desk.clock)
    router = scene.create_router(buckets=only(Run("page"), Tag("seen")), functions={"page": page}, inbox=inbox)
    key = handle(scene.api, router, scene.write("Secret 4711"))[1].key or ""
    outcome = scene.api.process(router, key)
    assert outcome.status == "failed"
    assert f"function: page(): it raised KeyError at {__file__}" in outcome.reason
    assert "4711" not in outcome.reason
    desk.clock.now += 60
    assert scene.api.process(router, key).status == "routed"
    assert calls == [key, key]
