"""How a Router handles messages and failures, for every vendor, sync and async."""

import asyncio
import json
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, Desk, FrontDesk, IntercomDesk, by_name
from tests.helpers.routing import handle, only, step_results
from triage import (
    Action,
    Assign,
    Bucket,
    Buckets,
    Close,
    ConfigurationError,
    Conversation,
    Event,
    MarkSpam,
    Note,
    Reply,
    Router,
    SetFields,
    SetPriority,
    Snooze,
    Tag,
    Verdict,
)
from triage.classifiers import Claude
from triage.inbox import SQLiteInbox
from triage.text import quotes, senders


def list_actions(desk: Desk) -> list[Action]:
    return [
        Reply("x"),
        Note("x"),
        Tag("x"),
        SetFields({desk.field: "y"}),
        SetPriority("high"),
        Snooze(timedelta(hours=1)),
        Close(),
        MarkSpam(),
    ]


def fail_second_text(desk: Desk) -> None:
    """Let the second of reply and note fail for a while; their order depends on the vendor."""
    second = desk.adapter().plan([Reply("Hi"), Note("Seen")])[1].actions[0]
    call = desk.reply if isinstance(second, Reply) else desk.note
    desk.fake.fail(call, status=429, headers={"Retry-After": "60"}, skip=int(desk.note == desk.reply))


class RaisingClassifier:
    """A classifier whose error contains customer text."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        raise ValueError(conversation.text)


class WrongTypeClassifier:
    """A classifier that does not return a verdict."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Any:
        return "billing"


# From delivery to reply


@pytest.mark.parametrize("bucket", ["urgent", "billing", "general"])
def test_a_message_is_assigned_and_answered_as_its_bucket_says(desk: Desk, api: Api, bucket: str) -> None:
    webhook = desk.fake.customer_writes(f"This is {bucket}.", name="Mira")
    answer, outcome = handle(api, desk.router(), webhook)
    assert (answer.status_code, json.loads(answer.body)) == (200, {"status": "routed"})
    assert outcome.verdict is not None
    assert (outcome.verdict.bucket, outcome.verdict.fallback) == (bucket, False)
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert desk.assigned(conversation) == desk.teams[bucket]
    (reply,) = desk.fake.replies(conversation.id)
    assert "Mira" in reply
    assert conversation.state == "open"


def test_spam_is_closed_without_a_reply(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("This is spam.")
    _, outcome = handle(api, desk.router(), webhook)
    assert outcome.status == "closed"
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.state, desk.fake.replies(conversation.id)) == ("closed", [])


@pytest.mark.parametrize(
    ("actions", "status", "steps"),
    [
        ([Reply("x"), Close()], "routed", ["reply:done", "close:skipped"]),
        ([Close()], "ignored", ["close:skipped"]),
    ],
)
def test_a_verdict_that_must_not_close_leaves_the_conversation_open(
    desk: Desk, api: Api, actions: list[Action], status: str, steps: list[str]
) -> None:
    webhook = desk.fake.customer_writes("This is spam.")
    verdict = Verdict(bucket="general", allow_close=False)
    _, outcome = handle(api, desk.router(buckets=only(*actions), classifier=lambda text: verdict), webhook)
    assert (outcome.status, step_results(outcome)) == (status, steps)
    assert outcome.steps[-1].detail == "a verdict of this classifier alone closes nothing"
    assert desk.fake.conversations[webhook.conversation_id or ""].state == "open"


def test_receive_does_no_io_and_another_process_can_process_the_event(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("This is billing.")
    received = desk.router().receive(webhook.body, webhook.headers)
    assert (received.status_code, received.outcome.status, desk.fake.calls) == (200, "accepted", [])
    assert received.event is not None
    event = Event.model_validate_json(received.event.model_dump_json())
    assert api.process(desk.router(), event).status == "routed"


def test_everything_that_the_customer_wrote_since_the_last_answer_is_classified(desk: Desk, api: Api) -> None:
    seen: list[Conversation] = []

    class Remember:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            seen.append(conversation)
            return Verdict(bucket="GENERAL ")

    webhook = desk.fake.customer_writes("One", subject="A subject")
    for text in ("Two", "Three"):
        desk.fake.customer_writes(text, conversation=webhook.conversation_id)
    _, outcome = handle(api, desk.router(classifier=Remember(), context=1), webhook)
    assert outcome.verdict is not None
    assert outcome.verdict.bucket == "general", "case does not matter in labels"
    assert [message.text for message in seen[0].messages] == ["One", "Two", "Three"]
    assert seen[0].subject == "A subject"


# Duplicates


def test_the_same_delivery_again_is_a_duplicate(desk: Desk, api: Api) -> None:
    router = desk.router()
    webhook = desk.fake.customer_writes("This is billing.")
    assert handle(api, router, webhook)[1].status == "routed"
    calls = len(desk.fake.calls)
    answer, outcome = handle(api, router, desk.fake.redeliver(webhook))
    assert (answer.status_code, outcome.status) == (200, "duplicate")
    assert len(desk.fake.calls) == calls


def test_a_customer_gets_one_automatic_reply_even_if_the_router_was_restarted(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("This is billing.")
    handle(api, desk.router(), webhook)
    _, outcome = handle(api, desk.router(), desk.fake.redeliver(webhook))
    assert "reply:skipped" in step_results(outcome)
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_conversation_that_a_human_answered_is_only_labeled(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.agent_writes("I have it.", conversation=webhook.conversation_id or "")
    router = desk.router(buckets=only(Assign(team=desk.teams["general"]), Reply("x"), Note("Seen"), Close()))
    _, outcome = handle(api, router, webhook)
    assert outcome.status == "routed"
    assert step_results(outcome) == ["note:done", "assign:skipped", "reply:skipped", "close:skipped"]
    assert "Seen" in desk.fake.notes(webhook.conversation_id or "")[0]
    assert desk.fake.conversations[webhook.conversation_id or ""].state == "open"


def test_a_message_is_ignored_if_a_human_leaves_nothing_to_do(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.agent_writes("I have it.", conversation=webhook.conversation_id or "")
    _, outcome = handle(api, desk.router(), webhook)
    assert (outcome.status, outcome.reason, outcome.verdict) == ("ignored", "a human has answered", None)


# Bad input and failures; see also test_vendors.py


def test_a_body_over_the_limit_is_rejected_before_it_is_parsed(desk: Desk, api: Api) -> None:
    answer = api.handle(desk.router(max_body=10), b"x" * 11, {})
    assert answer.status_code == 413
    assert api.handle(desk.router(max_body=10), b"x" * 10, {}).status_code == 401
    assert api.handle(desk.router(), b"x" * (desk.vendor.default_max_body + 1), {}).status_code == 413


def test_a_decoded_body_raises_a_type_error(desk: Desk, api: Api) -> None:
    with pytest.raises(TypeError, match="raw bytes"):
        api.handle(desk.router(), "{}", {})  # type: ignore[arg-type]


def test_a_bytearray_or_memoryview_is_accepted_as_the_body(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("Hello")
    for body in (bytearray(webhook.body), memoryview(webhook.body)):
        assert desk.router().receive(body, webhook.headers).event is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "classifier",
    [RaisingClassifier(), lambda text: "nonsense", lambda text: 7, lambda text: 1 / 0, WrongTypeClassifier()],
)
def test_without_a_verdict_the_message_goes_to_the_fallback_bucket(
    desk: Desk, api: Api, classifier: Any, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = desk.fake.customer_writes("My secret is 4711.")
    _, outcome = handle(api, desk.router(classifier=classifier), webhook)
    assert outcome.status == "routed"
    assert outcome.verdict is not None
    assert (outcome.verdict.bucket, outcome.verdict.fallback, outcome.verdict.confidence) == ("general", True, 0.0)
    assert "classifier" in outcome.verdict.reason
    assert desk.assigned(desk.fake.conversations[webhook.conversation_id or ""]) == desk.teams["general"]
    assert "4711" not in caplog.text


def test_an_attachment_without_text_goes_to_the_fallback_bucket_unclassified(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("", attachments=["scan.pdf"])
    _, outcome = handle(api, desk.router(classifier=RaisingClassifier()), webhook)
    assert outcome.verdict is not None
    assert outcome.verdict.fallback
    assert outcome.verdict.reason == "the message has no text, only 1 attachment(s)"


def test_an_unreadable_conversation_fails_and_the_next_delivery_starts_over(desk: Desk, api: Api) -> None:
    router = desk.router()
    webhook = desk.fake.customer_writes("This is billing.")
    desk.fake.fail(desk.read, status=403)
    answer, outcome = handle(api, router, webhook)
    assert (answer.status_code, outcome.status, outcome.steps) == (200, "failed", ())
    assert "403" in outcome.reason
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "routed"


def test_a_failure_between_two_steps_is_reported_step_by_step(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    actions: list[Action] = [Reply("Hi"), Note("Seen"), Close()]
    router = desk.router(buckets=only(*actions))
    webhook = desk.fake.customer_writes("Hello")
    fail_second_text(desk)
    answer, outcome = handle(api, router, webhook)
    assert (answer.status_code, outcome.status) == (200, "failed")
    # Some vendors perform several actions in one step.
    first, failed, *rest = (step.name for step in desk.adapter().plan(actions))
    expected = [f"{first}:done", f"{failed}:failed", *(f"{step}:pending" for step in rest)]
    assert step_results(outcome) == expected
    assert "429" in outcome.steps[1].detail
    assert [record.levelname for record in caplog.records if record.name == "triage.engine.observe"] == ["ERROR"]
    assert ",".join(expected) in caplog.text
    desk.clock.now += 61
    again = handle(api, router, desk.fake.redeliver(webhook))[1]
    assert {step.status for step in again.steps} == {"done"}, "the next delivery resumes where this one stopped"
    conversation_id = webhook.conversation_id or ""
    assert (len(desk.fake.replies(conversation_id)), len(desk.fake.notes(conversation_id))) == (1, 1)


@pytest.mark.parametrize(("on_failure", "status_code"), [("accept", 200), ("retry", 503)])
def test_on_failure_decides_whether_the_vendor_should_deliver_again(
    desk: Desk, api: Api, on_failure: Any, status_code: int
) -> None:
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(desk.read, status=404)
    answer, outcome = handle(api, desk.router(on_failure=on_failure), webhook)
    assert (answer.status_code, outcome.status) == (status_code, "failed")
    assert answer.headers.get("Retry-After") == ("30" if status_code == 503 else None)


def test_the_vendor_is_not_asked_to_deliver_again_once_a_step_succeeded(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    fail_second_text(desk)
    router = desk.router(on_failure="retry", buckets=only(Reply("Hi"), Note("Seen")))
    assert handle(api, router, webhook)[0].status_code == 200


def test_a_message_whose_handling_was_cancelled_is_handled_when_it_is_delivered_again(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("This is billing.")

    async def cancel_and_deliver_again() -> str:
        started = asyncio.Event()

        async def classify(text: str) -> str:
            if not started.is_set():
                started.set()
                await asyncio.Event().wait()
            return by_name(text)

        router = desk.router(classifier=classify)
        task = asyncio.create_task(router.handle_async(webhook.body, webhook.headers))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        outcome = (await router.handle_async(webhook.body, webhook.headers)).outcome
        assert outcome is not None
        return outcome.status

    assert asyncio.run(cancel_and_deliver_again()) == "routed"


def test_a_second_delivery_is_a_duplicate_while_the_first_is_being_handled(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("This is billing.")

    async def deliver_together() -> list[str]:
        router = desk.router(classifier=classify_async)
        answers = await asyncio.gather(*(router.handle_async(webhook.body, webhook.headers) for _ in range(3)))
        return sorted(json.loads(answer.body)["status"] for answer in answers)

    assert asyncio.run(deliver_together()) == ["duplicate", "duplicate", "routed"]
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


# Modes


def test_a_dry_run_reports_what_it_would_do_and_only_reads(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("This is billing.")
    _, outcome = handle(api, desk.router(dry_run=True), webhook)
    assert (outcome.status, outcome.reason) == ("planned", "dry run")
    assert {step.status for step in outcome.steps} == {"planned"}
    assert {call.method for call in desk.fake.calls if "/oauth" not in call.path} == {"GET"}


def test_a_verdict_with_low_confidence_goes_to_review(desk: Desk, api: Api) -> None:
    bucket = Bucket("general", "Everything", [Reply("x")], min_confidence=0.8)
    review = [Note("{bucket} {confidence}: {reason}")]
    webhook = desk.fake.customer_writes("Hello")
    verdict = Verdict(bucket="general", confidence=0.5, reason="Not <sure>")
    router = desk.router(buckets=[bucket], review=review, classifier=lambda text: verdict)
    _, outcome = handle(api, router, webhook)
    assert outcome.status == "review"
    conversation = webhook.conversation_id or ""
    assert desk.fake.replies(conversation) == []
    assert "general 50%: Not " in desk.fake.notes(conversation)[0]


def test_suggest_mode_leaves_a_note_and_shadow_mode_leaves_nothing(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    suggesting = desk.router(buckets=[Bucket("general", "All", [Reply("x")], mode="suggest")])
    assert handle(api, suggesting, webhook)[1].status == "suggested"
    shadowing = desk.router(buckets=[Bucket("general", "All", [Reply("x")], mode="shadow")])
    _, outcome = handle(api, shadowing, webhook)
    assert (outcome.status, step_results(outcome)) == ("shadowed", ["reply:planned"])
    conversation = webhook.conversation_id or ""
    assert desk.fake.replies(conversation) == []
    assert "general" in desk.fake.notes(conversation)[0]


# Configuration


def test_an_unsupported_action_is_rejected_with_an_alternative(desk: Desk) -> None:
    adapter = desk.adapter()
    for action in list_actions(desk):
        if type(action) in adapter.can:
            desk.router(buckets=only(action))
        else:
            with pytest.raises(ConfigurationError) as caught:
                desk.router(buckets=only(action))
            assert adapter.instead[type(action)] in str(caught.value)
            with pytest.raises(ConfigurationError, match="review"):
                desk.router(review=[action])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": []}, "There are no buckets"),
        ({"buckets": [Bucket("a", "A"), Bucket("a", "B")], "fallback": "a"}, "Two buckets are named 'a'"),
        ({"fallback": "nowhere"}, "fallback='nowhere' is not one of the buckets"),
        ({"buckets": only(Reply("{nobody}"))}, "Bucket 'general'"),
        ({"review": [Reply("{reason}")]}, "review"),
        ({"context": -1}, "context must be .*, not -1"),
        ({"max_body": 0}, "max_body must be .*, not 0"),
        ({"on_failure": "panic"}, "on_failure must be 'accept' or 'retry', not 'panic'"),
    ],
)
def test_invalid_options_raise_when_the_router_is_created(desk: Desk, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        desk.router(**options)


def test_a_classifier_may_check_the_buckets_and_declare_fields_for_texts(desk: Desk) -> None:
    class Checked:
        extra = {"language": "ISO 639-1"}  # noqa: RUF012 - as users write it

        def check(self, buckets: Buckets) -> None:
            raise ConfigurationError(f"unhappy with {buckets!r}")

        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="general")

    with pytest.raises(ConfigurationError, match="unhappy with Buckets"):
        desk.router(classifier=Checked(), buckets=only(Note("{language}")))


# Classifiers and HTTP clients


async def classify_async(text: str) -> str:
    return by_name(text)


class AsyncOnly:
    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return Verdict(bucket=by_name(conversation.text))


class AsyncCallable:
    async def __call__(self, text: str) -> Verdict:
        return Verdict(bucket=by_name(text))


@pytest.mark.parametrize("classifier", [classify_async, AsyncOnly(), AsyncCallable()])
def test_an_async_classifier_works_with_the_async_entry_point_only(classifier: Any) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("This is billing.")
    router = desk.router(classifier=classifier)
    with pytest.raises(ConfigurationError, match=r"async only: call handle_async\(\)"):
        router.handle(webhook.body, webhook.headers)
    assert handle(Api("async"), router, webhook)[1].status == "routed"


def test_an_httpx2_client_works_as_well(desk: Desk, api: Api) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        with httpx.Client(transport=desk.fake.transport) as client:
            try:
                response = client.request(
                    request.method, str(request.url), content=request.content, headers=dict(request.headers)
                )
            except httpx.ReadTimeout as err:
                raise httpx2.ReadTimeout("lost") from err
        return httpx2.Response(response.status_code, headers=dict(response.headers), content=response.content)

    transport = httpx2.MockTransport(answer)
    webhook = desk.fake.customer_writes("This is billing.")
    desk.fake.fail(desk.reply, timeout=True, after=True)
    router = desk.router(http=httpx2.Client(transport=transport), async_http=httpx2.AsyncClient(transport=transport))
    assert handle(api, router, webhook)[1].status == "routed"


def test_a_router_without_clients_creates_its_own_and_closes_them(desk: Desk, api: Api) -> None:
    with (
        desk.fake.serve() as base_url,
        Router(
            desk.adapter(base_url=base_url),
            buckets=Buckets.default(dict(desk.teams)),
            classifier=by_name,
            clock=desk.clock,
        ) as router,
    ):
        for _ in range(2):
            webhook = desk.fake.customer_writes("This is billing.")
            assert handle(api, router, webhook)[1].status == "routed"
        assert (router.engine.clients._sync.created._object is None) == (api.name == "async")
    assert router.engine.clients._sync.created._object is None


def test_claude_is_the_default_classifier_and_is_warmed_up_and_closed_with_the_router(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")

    def make_router() -> Router:
        return Router(desk.adapter(), buckets=Buckets.default(dict(desk.teams)))

    async def open_and_close() -> None:
        async with make_router() as router:
            router.warm_up()

    with make_router() as router:
        assert isinstance(router.classifier, Claude)
        router.warm_up()
    asyncio.run(open_and_close())


def test_warm_up_reads_the_phrases_that_the_first_message_needs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(quotes, "load_phrases", lambda: loaded.append("quotes"))
    monkeypatch.setattr(senders, "load_phrases", lambda: loaded.append("senders"))
    desk.router().warm_up()
    assert loaded == ["quotes", "senders"]


def test_warm_up_ignores_a_classifier_that_does_not_need_it(desk: Desk) -> None:
    router = desk.router()
    router.warm_up()
    assert repr(router) == f"Router({router.vendor!r}, buckets=['urgent', 'billing', 'general', 'spam'])"


def test_a_redirect_is_never_followed_with_our_token(desk: Desk, api: Api) -> None:
    def redirect(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "desk.example.com"
        return httpx.Response(302, headers={"Location": "https://elsewhere.example.com/"})

    transport = httpx.MockTransport(redirect)
    router = desk.router(
        http=httpx.Client(transport=transport, follow_redirects=True),
        async_http=httpx.AsyncClient(transport=transport, follow_redirects=True),
    )
    _, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    assert outcome.status == "failed"


def test_each_delivery_logs_one_line_without_customer_text(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "triage")
    webhook = desk.fake.customer_writes("My secret is 4711.", name="Mira Geheim", email="geheim@example.com")
    _, outcome = handle(api, desk.router(), webhook)
    (record,) = (
        record for record in caplog.records if record.name == "triage.engine.observe" and record.levelno >= logging.INFO
    )
    assert record.__dict__["status"] == outcome.status
    assert webhook.conversation_id is not None
    assert webhook.conversation_id in record.getMessage()
    secrets = [value for name, value in desk.fake.settings(BASE_URL).items() if re.search("secret|token|key", name)]
    assert secrets
    for private in ("4711", "Geheim", "geheim", *secrets):
        assert private not in record.getMessage()
        assert private not in repr(outcome)


def test_an_event_of_another_help_desk_is_rejected(desk: Desk, api: Api, tmp_path: Path) -> None:
    other = FrontDesk() if desk.name == "intercom" else IntercomDesk()
    webhook = other.fake.customer_writes("Hello")
    foreign = other.router().receive(webhook.body, webhook.headers).event
    assert foreign is not None
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)
    inbox.add(foreign)
    for event in (foreign, foreign.key):
        with pytest.raises(ConfigurationError, match=f"{foreign.key} belongs to another Router"):
            api.process(desk.router(inbox=inbox), event)
    assert inbox.count_states()["ready"] == 1
    inbox.close()


def test_a_key_needs_an_inbox_and_an_interrupted_event_stays_there(tmp_path: Path) -> None:
    desk = IntercomDesk()
    with pytest.raises(ConfigurationError, match="no inbox to look up a key in"):
        desk.router().process("intercom:a:1:1")
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)

    def interrupt(text: str) -> str:
        raise KeyboardInterrupt

    router = desk.router(inbox=inbox, classifier=interrupt)
    webhook = desk.fake.customer_writes("Hello")
    router.handle(webhook.body, webhook.headers)
    with pytest.raises(KeyboardInterrupt):
        router.process(inbox.list_entries()[0].key)
    assert inbox.count_states()["leased"] == 1
    inbox.close()
