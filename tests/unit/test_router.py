"""How a Router is created and shares an inbox; `contract/test_router.py` tests how it handles messages."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, DESKS, Desk, IntercomDesk, by_name
from tests.helpers.routing import handle, only, receive
from tests.helpers.watched import WatchedInbox
from triage import (
    Assign,
    Bucket,
    ConfigurationError,
    Conversation,
    Limits,
    Outcome,
    Reply,
    Router,
    Run,
    Tag,
    Verdict,
    Worker,
)
from triage.classifiers import Cascade, Classifier, Claude, Recorded, Rules
from triage.errors import RecordingMissing
from triage.inbox import MemoryInbox, SQLiteInbox
from triage.inbox.base import Inbox
from triage.models import Headers, Received
from triage.policy import Buckets
from triage.vendors import Intercom


class CountingClassifier:
    """Raises an error or returns a verdict, counts its calls and remembers whether it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls = 0
        self.closed = False

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Verdict(bucket="general")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def desk() -> Desk:
    """Intercom, unless a test names other vendors: a Router is created the same way for every vendor."""
    return IntercomDesk()


@pytest.fixture(params=["memory", "sqlite"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path, desk: Desk) -> Iterator[Inbox]:
    inbox: Inbox
    if request.param == "memory":
        inbox = MemoryInbox(clock=desk.clock)
    else:
        inbox = SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)
    yield inbox
    inbox.close()


def store(router: Router, desk: Desk) -> str:
    """Deliver a new message and return the key of its stored event."""
    _, outcome = handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert outcome.key is not None
    return outcome.key


# Two Routers that share an inbox


def test_the_keys_of_events_begin_with_the_routers_name(desk: Desk, inbox: Inbox) -> None:
    keys = [store(desk.router(inbox=inbox, name=name), desk) for name in ("sales", "support")]
    assert [key.partition(":")[0] for key in keys] == ["sales", "support"]
    assert [entry.key for entry in inbox.list_entries()] == [keys[1], keys[0]], "the newest first"


def test_a_delivery_to_two_routers_is_two_events(desk: Desk, inbox: Inbox) -> None:
    webhook = desk.fake.customer_writes("Hello")
    routers = [desk.router(inbox=inbox, name=name) for name in ("sales", "support")]
    assert [handle(Api("sync"), router, webhook)[1].status for router in routers] == ["accepted", "accepted"]
    assert [handle(Api("sync"), router, webhook)[1].status for router in routers] == ["duplicate", "duplicate"]


def test_each_router_owns_the_events_that_begin_with_its_name(desk: Desk, inbox: Inbox) -> None:
    sales, support = (desk.router(inbox=inbox, name=name) for name in ("sales", "support"))
    key = store(sales, desk)
    assert (sales.owns(key), support.owns(key)) == (True, False)
    assert not desk.router(name="sale").owns(key), "the name is the whole part before the colon"
    assert not desk.router().owns(key)


def test_without_a_name_the_help_desks_name_owns_the_events(desk: Desk) -> None:
    router = desk.router()
    assert router.name == "intercom"
    assert router.owns(receive(router, desk).key)


def test_a_lease_contains_only_the_events_of_its_router(desk: Desk, inbox: Inbox) -> None:
    keys = {name: [store(desk.router(inbox=inbox, name=name), desk) for _ in range(2)] for name in ("sales", "support")}
    for name in ("support", "sales"):
        jobs = inbox.lease(10, 60.0, name)
        assert [job.event.key for job in jobs] == keys[name]
        assert {job.event.owner for job in jobs} == {name}
        assert {job.event.vendor for job in jobs} == {"intercom"}


def test_each_worker_processes_only_the_events_of_its_router(desk: Desk, tmp_path: Path) -> None:
    with contextlib.closing(WatchedInbox(tmp_path / "triage.db", clock=desk.clock)) as inbox:
        classifiers = {name: CountingClassifier() for name in ("sales", "support")}
        routers = {
            name: desk.router(inbox=inbox, name=name, classifier=classifier, buckets=only(Tag(name)))
            for name, classifier in classifiers.items()
        }
        keys = {name: [store(router, desk) for _ in range(2)] for name, router in routers.items()}
        for name, expected_calls in (("sales", [2, 0]), ("support", [2, 2])):
            with Worker(routers[name]):
                inbox.wait(2)
            assert [classifier.calls for classifier in classifiers.values()] == expected_calls
            assert {entry.state for key in keys[name] if (entry := inbox.get_entry(key))} == {"finished"}
    assert [conversation.tags for conversation in desk.fake.conversations.values()] == [
        ["sales"],
        ["sales"],
        ["support"],
        ["support"],
    ]


def test_an_event_of_another_router_is_rejected(desk: Desk, api: Api, inbox: Inbox) -> None:
    sales, support = (desk.router(inbox=inbox, name=name) for name in ("sales", "support"))
    event = receive(sales, desk)
    assert inbox.add(event)
    for event_or_key in (event, event.key):
        with pytest.raises(ConfigurationError, match=r"belongs to another Router, not to 'support'\. Pass it to that"):
            api.process(support, event_or_key)
    assert inbox.count_states()["ready"] == 1
    assert api.process(sales, event.key).status == "routed"


def test_an_unreadable_delivery_belongs_to_the_router_that_received_it(desk: Desk, inbox: Inbox) -> None:
    router = desk.router(inbox=inbox, name="sales")
    assert router.handle(b"{}", desk.sign(b"{}")).status_code == 200
    (entry,) = inbox.list_entries()
    assert entry.state == "dead"
    assert router.owns(entry.key)


@pytest.mark.parametrize("shared", [True, False], ids=["one name", "two names"])
def test_a_pause_of_the_help_desk_applies_to_the_routers_of_one_name(
    desk: Desk, api: Api, inbox: Inbox, shared: bool
) -> None:
    limits = Limits(failures=1, pause=100)
    sales, support = (
        desk.router(inbox=inbox, name=name, limits=limits, buckets=only(Tag("seen")))
        for name in ("sales", "sales" if shared else "support")
    )
    desk.fake.fail(status=503, times=None, headers={"Retry-After": "0"})
    assert api.process(sales, receive(sales, desk)).status == "failed"
    desk.fake.recover()
    assert api.process(sales, receive(sales, desk)).status == "failed", "its circuit breaker is open"
    assert api.process(support, receive(support, desk)).status == ("failed" if shared else "routed")


@pytest.mark.parametrize("shared", [True, False], ids=["one name", "two names"])
def test_a_pause_of_the_classifier_applies_to_the_routers_of_one_name(
    desk: Desk, api: Api, inbox: Inbox, shared: bool
) -> None:
    limits = Limits(failures=1, pause=100)
    broken, healthy = CountingClassifier(RuntimeError("down")), CountingClassifier()
    sales = desk.router(inbox=inbox, name="sales", limits=limits, classifier=broken)
    support = desk.router(inbox=inbox, name="sales" if shared else "support", limits=limits, classifier=healthy)
    for _ in range(2):
        api.process(sales, receive(sales, desk))
    assert broken.calls == 1, "its circuit breaker is open"
    api.process(support, receive(support, desk))
    assert healthy.calls == (0 if shared else 1)


# Names


@pytest.mark.parametrize("name", ["a", "0", "sales", "sales-eu.2_b", "a" * 64])
def test_a_name_of_legal_characters_is_accepted(desk: Desk, name: str) -> None:
    router = desk.router(name=name)
    assert receive(router, desk).key.startswith(f"{name}:")


@pytest.mark.parametrize(
    "name",
    ["", "Sales", "sales team", "a:b", "a/b", "a%b", "-a", ".a", "_a", "a\n", "ä", "²", "a" * 65, 7, b"sales", ["a"]],
)
def test_a_name_with_illegal_characters_is_rejected(desk: Desk, name: Any) -> None:
    with pytest.raises(ConfigurationError, match="a Router's name has 1 to 64 of the characters a-z, 0-9"):
        desk.router(name=name)


# Environment variables


@pytest.fixture
def environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of the adapter and of its teams, all of them set."""
    variables = desk.fake.env(BASE_URL)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.mark.usefixtures("environment")
def test_from_env_reads_the_settings_of_the_adapter_and_the_teams(desk: Desk) -> None:
    router = Router.from_env(Intercom, classifier=by_name, name="sales", clock=desk.clock)
    assert router.vendor == Intercom(**desk.settings())
    teams = {
        bucket.name: [action.team for action in bucket.actions if action.type == "assign"] for bucket in router.buckets
    }
    urgent, billing, general = list(desk.fake.teams)[:3]
    assert teams == {"urgent": [urgent], "billing": [billing], "general": [general], "spam": []}
    assert (router.name, router.buckets.fallback.name) == ("sales", "general")


@pytest.mark.parametrize("create_desk", DESKS.values(), ids=DESKS)
def test_from_env_works_with_the_variables_of_every_fake(
    create_desk: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch, api: Api
) -> None:
    desk = create_desk()
    with desk.fake.serve() as base_url:
        for name, value in desk.fake.env(base_url).items():
            monkeypatch.setenv(name, value)
        with Router.from_env(type(desk.adapter()), classifier=by_name, clock=desk.clock) as router:
            assert handle(api, router, desk.fake.customer_writes("This is billing."))[1].status == "routed"


@pytest.mark.usefixtures("environment")
def test_from_env_reads_the_id_of_a_team_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "team").write_text("'12345'\n")
    monkeypatch.delenv("INTERCOM_TEAM_ONCALL")
    monkeypatch.setenv("INTERCOM_TEAM_ONCALL_FILE", str(tmp_path / "team"))
    urgent = next(iter(Router.from_env(Intercom, classifier=by_name).buckets))
    assert Assign(team="12345") in urgent.actions


def test_from_env_names_all_missing_teams_at_once(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment:
        if "_TEAM_" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("INTERCOM_TEAM_BILLING", " ")
    with pytest.raises(ConfigurationError) as raised:
        Router.from_env(Intercom, classifier=by_name)
    names = "INTERCOM_TEAM_ONCALL, INTERCOM_TEAM_BILLING, INTERCOM_TEAM_SUPPORT"
    assert str(raised.value) == f"Set {names} to the ids of your teams."


def test_from_env_names_all_missing_settings_of_the_adapter_at_once(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in environment:
        if "_TEAM_" not in name:
            monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError) as raised:
        Router.from_env(Intercom, classifier=by_name)
    for name in ("INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "INTERCOM_ADMIN_ID"):
        assert name in str(raised.value)


def test_from_env_names_missing_settings_and_missing_teams_at_once(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in environment:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError) as raised:
        Router.from_env(Intercom, classifier=by_name)
    for name in ("INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "INTERCOM_ADMIN_ID", "INTERCOM_TEAM_ONCALL"):
        assert name in str(raised.value)


def test_from_env_with_buckets_needs_no_teams(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment:
        if "_TEAM_" in name:
            monkeypatch.delenv(name)
    router = Router.from_env(Intercom, classifier=by_name, buckets=[Bucket("general", "Everything", [Tag("seen")])])
    assert router.buckets.names == ("general",)


# Mistakes


@pytest.mark.parametrize(
    ("vendor", "message"),
    [
        (Intercom, r"needs an instance of Intercom: Intercom\(…\) or Intercom.from_env\(\)"),
        ("intercom", "first argument must be an adapter, not str"),
        (None, "first argument must be an adapter, not NoneType"),
        (Rules.default(), "first argument must be an adapter, not Rules"),
    ],
)
def test_anything_but_an_adapter_is_rejected(vendor: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Router(vendor, buckets=only(Tag("seen")), classifier=by_name)


def test_on_outcome_takes_a_function(desk: Desk) -> None:
    wrong: Any = "log"
    with pytest.raises(ConfigurationError, match=r"on_outcome\(\) takes a function, not 'log'"):
        desk.router().on_outcome(wrong)


@pytest.mark.parametrize("inbox", ["triage.db", Path("triage.db"), SQLiteInbox, MemoryInbox, object()])
def test_a_path_or_a_class_is_not_an_inbox(desk: Desk, inbox: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"inbox must be an inbox, such as SQLiteInbox\('triage.db'\), not "):
        desk.router(inbox=inbox)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": True}, "context must be the number of earlier messages to include, not True"),
        ({"context": 1.5}, r"include, not 1\.5"),
        ({"context": "3"}, "include, not '3'"),
        ({"context": None}, "include, not None"),
        ({"max_body": True}, "max_body must be a number of bytes of at least 1, not True"),
        ({"max_body": 1e6}, r"at least 1, not 1000000\.0"),
        ({"max_body": -1}, "at least 1, not -1"),
        ({"reroute": "sometimes"}, "reroute must be 'escalate', 'always' or 'never', not 'sometimes'"),
        ({"debounce": "soon"}, "debounce must be a duration such as '90s'"),
        ({"when": "open"}, "when must be a function that takes a conversation, not 'open'"),
        ({"when": Router}, "when must be a function"),
        ({"ignore_tags": "vip"}, r"ignore_tags must be a list of tags. Write \['no-triage'\]"),
        ({"ignore_tags": 7}, "ignore_tags must be a list of tags"),
        ({"ignore_tags": ["vip", ""]}, "ignore_tags must contain the names of tags"),
        ({"functions": [print]}, "functions must be a dictionary. Write functions={'page': page}"),
        ({"functions": {"page": Router}}, r"functions\['page'\] must be a function that takes a RunContext"),
        ({"functions": {"page": "page"}}, r"functions\['page'\] must be a function"),
        ({"fallbacks": [Reply("x")]}, "fallbacks must be a dictionary"),
        ({"fallbacks": {"lazy": []}}, "fallbacks contains 'lazy'. The reasons are no_text, refused, unavailable"),
        ({"fallbacks": {"refused": Reply("x")}}, r"fallbacks\['refused'\]: actions must be a list of actions"),
        ({"fallbacks": {"refused": [Reply("{reason}")]}}, r"fallbacks\['refused'\]: Reply: a model writes"),
        ({"review": [Run("page")]}, r"review: there is no function 'page'. Write Router\(…, functions={'page': …}\)"),
        ({"limits": {"daily_usd": 1}}, r"limits must be Limits\(…\), not {'daily_usd': 1}"),
        ({"dry_run": "no"}, "dry_run must be True or False, not 'no'"),
        ({"on_failure": None}, "on_failure must be 'accept' or 'retry', not None"),
        ({"on_failure": "Retry"}, "'retry', not 'Retry'"),
        ({"http": httpx.AsyncClient()}, r"Router\(http=…\) must be an httpx.Client"),
        ({"async_http": httpx.Client()}, r"Router\(async_http=…\) must be an httpx.AsyncClient"),
        ({"http": httpx.Client}, "not the class Client"),
        ({"classifier": Rules}, r"The classifier is the class Rules: pass an instance, such as Rules.default\(\)"),
        ({"classifier": "gpt-5"}, "not the name of a Claude model"),
        ({"classifier": "claude-next", "limits": Limits(daily_usd=1)}, "needs the cost of each verdict"),
        ({"classifier": by_name, "limits": Limits(daily_usd=0.5)}, r"Limits\(daily_usd=0\.5\) needs the cost"),
    ],
)
def test_an_argument_out_of_range_or_of_the_wrong_kind_is_rejected(
    desk: Desk, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        desk.router(**options)


def test_zero_messages_of_context_and_a_one_byte_limit_are_accepted(desk: Desk) -> None:
    router = desk.router(context=0, max_body=1)
    assert (router.engine.context, router.handle(b"{}", {}).status_code) == (0, 413)


# Classifiers


async def close(router: Router, api: Api) -> None:
    if api.name == "sync":
        router.close()
    else:
        await router.aclose()


def test_a_classifier_created_from_a_models_name_is_closed_with_the_router(
    desk: Desk, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    router = desk.router(classifier="claude-haiku-4-5")
    closed: list[str] = []
    assert isinstance(router.classifier, Claude)
    assert repr(router.classifier) == "Claude('claude-haiku-4-5')"
    monkeypatch.setattr(Claude, "close", lambda self: closed.append("sync"))

    async def aclose(self: Claude) -> None:
        closed.append("async")

    monkeypatch.setattr(Claude, "aclose", aclose)
    asyncio.run(close(router, api))
    assert closed == [api.name]


def test_a_classifier_that_was_passed_in_stays_open(desk: Desk, api: Api) -> None:
    classifier = CountingClassifier()
    asyncio.run(close(desk.router(classifier=classifier), api))
    assert not classifier.closed


def test_a_stored_message_that_needs_an_async_classifier_can_be_routed_later(desk: Desk, tmp_path: Path) -> None:
    async def classify(text: str) -> str:
        return "general"

    with contextlib.closing(SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)) as inbox:
        router = desk.router(inbox=inbox, classifier=classify)
        key = store(router, desk)
        with pytest.raises(ConfigurationError, match=r"async only: call handle_async\(\)"):
            router.process(key)
        entry = inbox.get_entry(key)
        assert entry is not None
        assert entry.state == "ready"
        desk.clock.now += 1000
        assert Api("async").process(router, key).status == "routed"


def test_a_missing_recording_is_an_error_and_not_a_fallback(desk: Desk, tmp_path: Path, api: Api) -> None:
    recorded = Recorded(Rules.default(), tmp_path / "answers.jsonl", mode="replay")
    router = desk.router(classifier=recorded, limits=Limits(failures=1))
    webhook = desk.fake.customer_writes("My card is 4711.")
    for _ in range(2):
        with pytest.raises(RecordingMissing, match="does not exist") as caught:
            handle(api, router, webhook)
        assert "4711" not in str(caught.value)
    assert desk.fake.replies(webhook.conversation_id or "") == []


def test_a_replayed_verdict_does_not_count_as_spending(desk: Desk, tmp_path: Path, api: Api) -> None:
    class PricedClassifier(Classifier):
        priced = True

        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="general", cost_usd=0.75)

    recorded = Recorded(PricedClassifier(), tmp_path / "answers.jsonl", version="1", mode="auto")
    outcomes = [
        handle(api, desk.router(classifier=recorded, limits=Limits(daily_usd=1)), desk.fake.customer_writes("Hi"))[1]
        for _ in range(2)
    ]
    assert [outcome.verdict.replayed for outcome in outcomes if outcome.verdict] == [False, True]
    router = desk.router(classifier=recorded, limits=Limits(daily_usd=1))
    replayed = [handle(api, router, desk.fake.customer_writes("Hi"))[1].verdict for _ in range(3)]
    assert [verdict.fallback_reason for verdict in replayed if verdict] == [None, None, None]


def get_spending(router: Router) -> float:
    return router.engine.inbox.get_spending(f"spent:{datetime.fromtimestamp(router.engine.clock(), UTC):%Y-%m-%d}")


def test_a_cascade_is_charged_only_for_the_verdicts_that_were_not_replayed(
    desk: Desk, tmp_path: Path, api: Api
) -> None:
    class PricedClassifier(Classifier):
        priced = True

        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="general", confidence=0.5, cost_usd=0.75)

    recorded = Recorded(PricedClassifier(), tmp_path / "answers.jsonl", version="1", mode="auto")
    router = desk.router(classifier=Cascade([recorded, PricedClassifier()]), limits=Limits(daily_usd=100))
    for _ in range(2):
        assert handle(api, router, desk.fake.customer_writes("Hi"))[1].verdict
    assert get_spending(router) == 3 * 0.75


def test_a_verdict_for_an_unknown_bucket_was_paid_for(desk: Desk, api: Api) -> None:
    class PricedClassifier(Classifier):
        priced = True

        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="nonsense", cost_usd=0.75)

    router = desk.router(classifier=PricedClassifier(), limits=Limits(daily_usd=100))
    verdict = handle(api, router, desk.fake.customer_writes("Hi"))[1].verdict
    assert verdict is not None
    assert (verdict.bucket, verdict.fallback_reason, verdict.cost_usd) == ("general", "invalid_answer", 0.75)
    assert get_spending(router) == 0.75


@pytest.mark.parametrize("inbox", [None, MemoryInbox()])
def test_only_a_large_body_is_parsed_in_a_thread(
    desk: Desk, inbox: Inbox | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To switch to a thread takes longer than to parse a usual message."""
    threads: list[threading.Thread] = []
    router = desk.router(inbox=inbox)
    receive_now = router.receive

    def record(raw_body: bytes, headers: Headers) -> Received:
        threads.append(threading.current_thread())
        return receive_now(raw_body, headers)

    monkeypatch.setattr(router, "receive", record)
    for text in ("Hello", "long " * 20_000):
        webhook = desk.fake.customer_writes(text)
        response = asyncio.run(router.handle_async(webhook.body, webhook.headers))
        assert response.status_code == 200
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


def test_an_async_classifier_does_not_count_as_a_classifier_that_is_down(desk: Desk) -> None:
    async def classify(text: str) -> str:
        return "general"

    outcomes: list[Outcome] = []
    router = desk.router(classifier=classify, limits=Limits(failures=1))
    router.on_outcome(outcomes.append)
    webhook = desk.fake.customer_writes("Hello")
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="async only"):
            router.handle(webhook.body, webhook.headers)
    _, outcome = handle(Api("async"), router, webhook)
    assert outcome.verdict is not None
    assert not outcome.verdict.fallback
    *failed, routed = (one.reason for one in outcomes)
    assert routed == ""
    assert len(failed) == 3
    assert all(reason.startswith("The classifier classify is async only") for reason in failed)
