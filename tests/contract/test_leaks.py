"""Nothing of a customer, and no secret, gets into a log, a `repr`, an error, a warning or an address that is called.

Everything that a customer writes holds a word that stands nowhere else, and so does every secret. Then all that can be
seen from outside is searched for them. They may be in the bodies of the calls, and secrets in their headers.
"""

import base64
import dataclasses
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from pydantic import BaseModel

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, Desk
from tests.helpers.json_paths import parts
from tests.helpers.watched import WatchedInbox
from triage import (
    Action,
    Assign,
    Bucket,
    Buckets,
    ConfigurationError,
    Conversation,
    InboxError,
    Note,
    Reply,
    Router,
    SetFields,
    Step,
    Tag,
    VendorError,
    Verdict,
    Worker,
)
from triage.classifiers import Claude
from triage.inbox import MemoryInbox, PostgresInbox
from triage.io.retry import RetryPolicy
from triage.models import Delivery, Event, Received, Request, Response
from triage.testing import FakeClaude, Webhook
from triage.testing.server import HttpRequest
from triage.vendors.base import Send

TEXT = "I lost textia-4711, and my card is 4000-textia."
NAME = "Nameria Nachnamia"
EMAIL = "mailia@postia.example"
SUBJECT = "About subjectia-4711"
FILE = "fileia-4711.pdf"
REASON = "Because of reasonia-4711."
MOOD = "moodia-4711"
KEY = "sk-ant-keyia-4711"
PRIVATE = ("textia", "nameria", "nachnamia", "mailia", "postia", "subjectia", "fileia", "reasonia", "moodia", "keyia")
"""What must not be found; "-ia" because ids and our own words hold none of them."""

ALL = f"{TEXT} {NAME} {EMAIL} {SUBJECT} {FILE}"


class Overheard:
    """A vendor's adapter, and all requests and responses that it saw."""

    def __init__(self, desk: Desk) -> None:
        self._adapter: Any = desk.adapter()
        self.seen: list[object] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def __repr__(self) -> str:
        return repr(self._adapter)

    def verify(self, delivery: Delivery) -> None:
        self.seen.append(delivery)
        self._adapter.verify(delivery)

    async def fetch(self, event: Event, send: Send) -> Conversation:
        conversation: Conversation = await self._adapter.fetch(event, partial(self._sent, send))
        self.seen.append(conversation)
        return conversation

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        await self._adapter.perform(step, conversation, partial(self._sent, send))

    async def _sent(self, send: Send, request: Request) -> Response:
        self.seen.append(request)
        try:
            response = await send(request)
        except VendorError as err:
            self.seen.append(err)
            raise
        self.seen.append(response)
        return response


class Told(logging.Handler):
    """All that is logged, as the standard formatter writes it, and as a formatter does that writes every attribute.

    The libraries that we use are heard from INFO on: what they say at DEBUG is for whoever asks them to, bodies too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(pathname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] == "triage" or record.levelno >= logging.INFO:
            self.lines += [self.format(record), repr(record.__dict__)]


class Stage:
    """A help desk and Claude, to which something happens."""

    def __init__(self, desk: Desk, api: Api, tmp_path: Path) -> None:
        self.desk = desk
        self.api = api
        self.vendor = Overheard(desk)
        self.claude = FakeClaude(lambda _: {"reason": REASON, "label": "billing", "confidence": 0.9, "mood": MOOD})
        self.path = tmp_path / "inbox.db"
        self.objects: list[object] = []

    def router(self, **options: Any) -> Router:
        actions: list[Action] = [
            Assign(team=self.desk.teams["billing"]),
            Tag("seen"),
            SetFields({self.desk.field: "{mood}"}),
            Reply("Hi {customer_name}"),
            Note("{reason} {mood}"),
        ]
        given: dict[str, Any] = {
            "vendor": self.vendor,
            "buckets": [Bucket("billing", "Money", actions), Bucket("general", "Else", [Reply("Hi {customer_name}")])],
            "classifier": self.asked(),
        }
        router = self.desk.router(**(given | options))
        self.objects += [router, router.vendor, router.buckets, router.classifier, router.inbox, router._store]
        self.objects += [router._pipeline, router._shared, router._shared.tokens]
        return router

    def asked(self, deadline: float = 15.0) -> Claude:
        """Claude by the real SDK, without a network."""

        def answer(request: httpx2.Request) -> httpx2.Response:
            target = request.url.raw_path.decode("ascii")
            got = self.claude.respond(HttpRequest.of(request.method, target, dict(request.headers), request.content))
            return httpx2.Response(got.status, headers=dict(got.headers), content=got.body)

        transport = httpx2.MockTransport(answer)
        return Claude(
            client=anthropic.Anthropic(api_key=KEY, http_client=httpx2.Client(transport=transport)),
            async_client=anthropic.AsyncAnthropic(api_key=KEY, http_client=httpx2.AsyncClient(transport=transport)),
            extra={"mood": "In a word"},
            deadline=deadline,
        )

    def written(self) -> Webhook:
        webhook = self.desk.fake.customer_writes(TEXT, name=NAME, email=EMAIL, subject=SUBJECT, attachments=[FILE])
        assert b"textia" in webhook.body or b"nameria" in webhook.body.lower(), "else nothing is proved"
        return webhook

    def handled(self, router: Router, webhook: Webhook) -> str:
        received = router.receive(webhook.body, webhook.headers)
        answer = self.api.handle(router, webhook.body, webhook.headers)
        self.objects += [received, answer]
        assert answer.outcome is not None
        return answer.outcome.status

    def worked(self, router: Router, **options: Any) -> None:
        """Let a worker do what is stored, and look at every state of it."""
        assert isinstance(router.inbox, WatchedInbox)
        self.objects += [*router.inbox.list_entries(), router.inbox.lease(1, 0.0)]
        self.desk.clock.now += 1
        with Worker(router, **options) as worker:
            router.inbox.wait()
        self.objects += [worker, *router.inbox.list_entries()]
        router.inbox.close()

    def addresses(self) -> Iterator[str]:
        yield from (f"{call.method} {call.path} {dict(call.query)}" for call in self.desk.fake.calls)
        yield from (f"{call.method} {call.path} {dict(call.query)}" for call in self.claude.calls)

    def secrets(self) -> set[str]:
        """As they are, and as they stand in a header of Basic credentials."""
        return self.secrets_of(self.desk)

    @staticmethod
    def secrets_of(desk: Desk) -> set[str]:
        settings = desk.fake.settings(BASE_URL)
        named = {str(value) for name, value in settings.items() if {"secret", "token", "key"} & set(name.split("_"))}
        named |= set(getattr(desk.fake, "tokens", {}))
        users = [value for name, value in settings.items() if name in ("identifier", "client_id", "app_id")]
        basic = {base64.b64encode(f"{user}:{secret}".encode()).decode() for user in users for secret in named}
        assert named
        return named | basic


# What happens


def routed(stage: Stage) -> None:
    assert stage.handled(stage.router(), stage.written()) == "routed"
    assert stage.claude.requests


def routed_twice(stage: Stage) -> None:
    router, webhook = stage.router(), stage.written()
    assert stage.handled(router, webhook) == "routed"
    assert stage.handled(router, stage.desk.fake.redeliver(webhook)) == "duplicate"


def only_watched(stage: Stage) -> None:
    assert stage.handled(stage.router(dry_run=True), stage.written()) == "routed"


def suggested(stage: Stage) -> None:
    buckets = [Bucket("billing", "Money", mode="suggest"), Bucket("general", "Else")]
    assert stage.handled(stage.router(buckets=buckets), stage.written()) == "suggested"


def ignored(stage: Stage) -> None:
    conversation = stage.written().conversation_id or ""
    assert stage.handled(stage.router(), stage.desk.fake.agent_writes(ALL, conversation=conversation)) == "ignored"


def taken(stage: Stage) -> None:
    webhook = stage.written()
    stage.desk.fake.agent_writes(ALL, conversation=webhook.conversation_id or "")
    assert stage.handled(stage.router(), webhook) in ("routed", "ignored")


def no_json(stage: Stage) -> None:
    body = f'{{"text": "{ALL}"'.encode()
    assert stage.handled(stage.router(), Webhook(body, stage.desk.sign(body))) == "malformed"


def no_event(stage: Stage) -> None:
    for payload in stage.desk.malformed():
        body = json.dumps({**_object(payload), "text": ALL, ALL: ALL}).encode()
        stage.handled(stage.router(), Webhook(body, stage.desk.sign(body)))


def words_in_every_place(stage: Stage) -> None:
    """Whatever a vendor may put there some day: each part of a delivery is replaced by the customer's words."""
    payload = json.loads(stage.written().body)
    router = stage.router()
    for value in (ALL, {ALL: ALL}, [ALL]):
        for path in parts(payload):
            changed = json.loads(json.dumps(payload))
            place = changed
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value
            body = json.dumps(changed).encode()
            answer = router.receive(body, stage.desk.sign(body))
            if answer.event is None:  # else it is the id of something, which any word may be
                stage.objects.append(answer)


def words_in_every_header(stage: Stage) -> None:
    webhook = stage.written()
    for name in webhook.headers:
        headers = webhook.headers | {name: ALL}
        stage.handled(stage.router(), Webhook(webhook.body, headers))


def forged(stage: Stage) -> None:
    webhook = stage.written()
    for headers in stage.desk.forgeries(webhook.body).values():
        assert stage.handled(stage.router(), Webhook(webhook.body, headers)) == "refused"


def too_large(stage: Stage) -> None:
    assert stage.handled(stage.router(max_body=9), stage.written()) == "refused"


def refused_by_the_vendor(stage: Stage, status: int) -> None:
    def quoting(text: str) -> str:
        stage.desk.fake.fail(status=status, message=f"cannot be: {ALL}", times=3)
        return "billing"

    stage.desk.fake.fail(stage.desk.read, status=status, message=f"cannot be: {ALL}", times=3)
    router = stage.router(on_failure="retry")
    assert stage.handled(router, stage.written()) == "failed"
    stage.desk.fake.recover()
    policy = [Bucket("billing", "Money", [Reply("Hi {customer_name}")])]
    router = stage.router(classifier=quoting, buckets=policy, fallback="billing")
    assert stage.handled(router, stage.written()) == "failed"


def no_answer_of_the_vendor(stage: Stage) -> None:
    stage.desk.fake.fail(timeout=True, times=None)
    assert stage.handled(stage.router(), stage.written()) == "failed"


def strange_answer_of_the_vendor(stage: Stage, body: bytes, status: int) -> None:
    stage.desk.fake.fail(stage.desk.read, status=status, body=body, times=3, headers={"Location": f"/{EMAIL}"})
    assert stage.handled(stage.router(), stage.written()) in ("failed", "ignored")


def raising_classifier(stage: Stage) -> None:
    def classify(text: str) -> str:
        assert "textia" in text
        raise ValueError(text)

    assert stage.handled(stage.router(classifier=classify, buckets=_plain()), stage.written()) == "routed"


def raving_classifier(stage: Stage) -> None:
    for answer in (ALL, None, 7, [ALL], {"bucket": ALL}, ALL.encode(), object()):
        router = stage.router(classifier=lambda text, answer=answer: answer, buckets=_plain())
        assert stage.handled(router, stage.written()) == "routed"


def raving_verdict(stage: Stage) -> None:
    class Raving:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            stage.objects.append(conversation)
            return Verdict.model_validate({"bucket": "general", "confidence": ALL, "reason": [ALL]})

    assert stage.handled(stage.router(classifier=Raving(), buckets=_plain()), stage.written()) == "routed"


def failing_claude(stage: Stage, **failure: Any) -> None:
    stage.claude.fail(times=10_000, **failure)
    assert stage.handled(stage.router(classifier=stage.asked(deadline=0.05)), stage.written()) == "routed"


def worker(stage: Stage) -> None:
    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    assert stage.handled(router, stage.written()) == "accepted"
    stage.worked(router)


def worker_that_parks(stage: Stage) -> None:
    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    assert stage.handled(router, stage.written()) == "accepted"
    stage.desk.fake.fail(status=500, message=ALL, times=None)
    stage.worked(router, attempts=2)


def worker_with_a_defect(stage: Stage) -> None:
    async def fetch(event: Event, send: Send) -> Conversation:
        conversation: Conversation = await stage.vendor._adapter.fetch(event, send)
        return {"nobody": conversation}[conversation.messages[-1].text]  # a KeyError, in the customer's words

    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    assert stage.handled(router, stage.written()) == "accepted"
    stage.vendor.fetch = fetch  # type: ignore[method-assign]
    stage.worked(router)


def kept_though_malformed(stage: Stage) -> None:
    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    body = json.dumps({"text": ALL, ALL: ALL}).encode()
    stage.handled(router, Webhook(body, stage.desk.sign(body)))
    assert router.inbox is not None
    stage.objects += router.inbox.list_entries()
    router.inbox.close()


def broken_inbox(stage: Stage) -> None:
    inbox = WatchedInbox(stage.path, clock=stage.desk.clock)
    router = stage.router(inbox=inbox)
    assert stage.handled(router, stage.written()) == "accepted"
    inbox._execute("DROP TABLE triage_events", {})
    assert stage.handled(router, stage.written()) == "failed"
    (event,) = (answer.event for answer in stage.objects[-2:-1] if isinstance(answer, Received))
    assert event is not None
    for call in (
        partial(inbox.add, event),
        inbox.list_entries,
        partial(inbox.forget, EMAIL),
        partial(inbox.lease, 1, 1.0),
    ):
        with pytest.raises(InboxError) as raised:
            call()
        stage.objects.append(raised.value)
    inbox.close()


def full_inbox(stage: Stage) -> None:
    router = stage.router(inbox=MemoryInbox(1, clock=stage.desk.clock))
    assert stage.handled(router, stage.written()) == "accepted"
    assert stage.handled(router, stage.written()) == "failed"


def _object(payload: object) -> Mapping[str, object]:
    return payload if isinstance(payload, dict) else {}


def _plain() -> list[Bucket]:
    return [Bucket("general", "All", [Reply("Hi {customer_name}")])]


QUOTE = {"type": "error", "error": {"type": "invalid_request_error", "message": ALL}, "request_id": "req_1"}

SCENES: Mapping[str, Callable[[Stage], None]] = {
    "a message that is routed": routed,
    "a message that comes twice": routed_twice,
    "a dry run": only_watched,
    "a suggestion": suggested,
    "what is not for us": ignored,
    "a conversation that a human has": taken,
    "a delivery that is no JSON": no_json,
    "a delivery that is no event": no_event,
    "a delivery with words in every place": words_in_every_place,
    "a delivery with words in every header": words_in_every_header,
    "a forged delivery": forged,
    "a delivery that is too large": too_large,
    "a vendor that is down": partial(refused_by_the_vendor, status=500),
    "a vendor that forbids": partial(refused_by_the_vendor, status=403),
    "a vendor that refuses": partial(refused_by_the_vendor, status=422),
    "a vendor that is overloaded": partial(refused_by_the_vendor, status=503),
    "a vendor that does not answer": no_answer_of_the_vendor,
    "a vendor that redirects": partial(strange_answer_of_the_vendor, body=b"", status=302),
    "a vendor that answers HTML": partial(strange_answer_of_the_vendor, body=f"<p>{ALL}".encode(), status=200),
    "a vendor that answers other JSON": partial(
        strange_answer_of_the_vendor, body=json.dumps({ALL: ALL}).encode(), status=200
    ),
    "a classifier that raises the text": raising_classifier,
    "a classifier that answers nonsense": raving_classifier,
    "a classifier that makes no verdict": raving_verdict,
    "Claude down": partial(failing_claude, status=500, body=json.dumps(QUOTE).encode()),
    "Claude refusing with the text": partial(failing_claude, status=400, body=json.dumps(QUOTE).encode()),
    "Claude answering the text": partial(failing_claude, content=[{"type": "text", "text": ALL}]),
    "Claude answering HTML": partial(failing_claude, body=ALL.encode(), headers={"Content-Type": "text/html"}),
    "Claude answering a strange message": partial(failing_claude, stop_reason=ALL, model=ALL, usage={ALL: ALL}),
    "Claude refusing to answer": partial(failing_claude, stop_reason="refusal", stop_details={"category": ALL}),
    "Claude not there": partial(failing_claude, drop=True),
    "a worker": worker,
    "a worker that parks": worker_that_parks,
    "a worker that meets a defect": worker_with_a_defect,
    "a delivery that is kept though it cannot be read": kept_though_malformed,
    "an inbox that is broken": broken_inbox,
    "an inbox that is full": full_inbox,
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between attempts are another test's."""
    monkeypatch.setattr("triage.engine.transport._FIRST_WAIT", 0.0)
    monkeypatch.setattr("triage.classifiers.claude.classifier._RETRIES", RetryPolicy(first_delay=0.0))


@pytest.fixture
def told() -> Iterator[Told]:
    handler, root = Told(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def shown(value: object) -> Iterator[str]:
    """What an object shows of itself, and each object of ours within it."""
    if isinstance(value, BaseException):
        yield from (repr(value), str(value), *traceback.format_exception(value))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from () if isinstance(one, str | bytes) else shown(one)
    elif value is not None:
        yield from (repr(value), str(value), format(value))
        yield from shown([inner for inner in _within(value) if _is_ours(inner)])


def _within(value: object) -> list[object]:
    if isinstance(value, BaseModel):
        return [getattr(value, name) for name in type(value).model_fields]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return []


def _is_ours(value: object) -> bool:
    return isinstance(value, list | tuple) or type(value).__module__.split(".")[0] == "triage"


def found(text: str, secrets: set[str]) -> list[str]:
    """Which of the words that must not be there are there."""
    lowered = text.lower()
    return [word for word in PRIVATE if word in lowered] + [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("happens", SCENES)
def test_nothing_private_is_shown_by(
    desk: Desk, api: Api, happens: str, tmp_path: Path, told: Told, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(desk, api, tmp_path)
    SCENES[happens](stage)
    secrets = stage.secrets()
    auth = stage.vendor.auth
    seen = [*stage.objects, *stage.vendor.seen, auth, auth and auth.request()]
    seen += [router._shared.tokens.current for router in stage.objects if isinstance(router, Router)]
    assert told.lines
    assert seen
    for line in [*told.lines, *capfd.readouterr(), *stage.addresses()]:
        assert not found(line, secrets), line
    for one in seen:
        for text in shown(one):
            assert not found(text, secrets), text


# A program that is set up wrongly


def made_or_refused(make: Callable[[], object]) -> object:
    """What is made, or the error that refuses to."""
    try:
        return make()
    except (ConfigurationError, TypeError) as err:
        return err


def clean(error: BaseException, secrets: set[str]) -> bool:
    return not any(found(text, secrets) for text in shown(error))


MISTAKES: Mapping[str, dict[str, Any]] = {
    "an empty setting": {"user_id": " ", "admin_id": "", "author_id": "", "company_id": "", "website_id": ""},
    "no address": {"base_url": "not an address"},
    "an argument that there is not": {"nonsense": True},
    "ids that are none": {
        "user_id": "a b",
        "admin_id": "a b",
        "author_id": "a b",
        "company_id": "/",
        "website_id": "/",
    },
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_secret_is_shown_by_an_adapter_that_cannot_be_made(desk: Desk, mistake: str) -> None:
    settings = desk.fake.settings(BASE_URL)
    wrong = {name: value for name, value in MISTAKES[mistake].items() if name in settings or name == "nonsense"}
    secrets = Stage.secrets_of(desk)
    for text in shown(made_or_refused(partial(desk.adapter, **wrong))):
        assert not found(text, secrets)


@pytest.mark.parametrize("spoilt", ["{} {}", "{}\n", "\n{}", "{}\x00", "{}\u00e9", " {}"])
def test_a_secret_that_no_header_can_carry_is_told_without_it(
    desk: Desk, api: Api, spoilt: str, told: Told, capfd: pytest.CaptureFixture[str]
) -> None:
    """Against a server: what is wrong with a header, only the connection finds."""
    spoiling = "keyia-4711"
    settings = desk.fake.settings(BASE_URL)
    ours = {name for name in settings if name in ("access_token", "api_token", "key", "client_secret", "app_secret")}
    ours -= {"client_secret"} if desk.name == "intercom" else set()
    assert ours
    with desk.fake.serve() as url:
        wrong = dict.fromkeys(ours, spoilt.format(spoiling, spoiling))
        overheard = Overheard(desk)
        overheard._adapter = made_or_refused(partial(desk.adapter, base_url=url, **wrong))
        if isinstance(overheard._adapter, ConfigurationError):
            assert clean(overheard._adapter, {spoiling})
            return
        webhook = desk.fake.customer_writes("Hello")
        router = Router(overheard, buckets=_plain(), classifier=lambda text: "general", clock=desk.clock)
        answer = api.handle(router, webhook.body, webhook.headers)
        router.close()
    assert answer.outcome is not None
    assert answer.outcome.status == "failed"
    for line in [*told.lines, *capfd.readouterr(), repr(answer)]:
        assert spoiling not in line
    for one in overheard.seen:
        for text in shown(one):
            assert spoiling not in text


def test_no_secret_is_shown_by_claude_that_cannot_be_made() -> None:
    for wrong in (f"{KEY} ", f"{KEY}\n", f" {KEY}"):
        with pytest.raises(ConfigurationError) as raised:
            Claude(api_key=wrong)
        assert clean(raised.value, set())
    for sdk in (anthropic.Anthropic(api_key=KEY), anthropic.AsyncAnthropic(api_key=KEY)):
        wrongly: Any = {"async_client" if isinstance(sdk, anthropic.Anthropic) else "client": sdk}
        with pytest.raises(ConfigurationError) as raised:
            Claude(**wrongly)
        assert clean(raised.value, set())


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://me:keyia-4711@127.0.0.1:1/triage",
        "postgresql://me:keyia-4711 @127.0.0.1:1/triage",
        "host=127.0.0.1 port=1 dbname=triage password='keyia-4711",
        "keyia-4711",
    ],
)
def test_no_password_is_shown_by_a_database_that_cannot_be_reached(conninfo: str, told: Told) -> None:
    with pytest.raises(ConfigurationError) as raised:
        PostgresInbox(conninfo)
    assert clean(raised.value, set())
    assert not [line for line in told.lines if found(line, set())]


def test_no_policy_that_cannot_work_shows_a_secret(desk: Desk) -> None:
    mistakes: list[dict[str, Any]] = [
        {"buckets": []},
        {"fallback": "nowhere"},
        {"buckets": [Bucket("general", "All", [Reply("Hi {nobody}")])]},
        {"context": -1},
        {"on_failure": "never"},
    ]
    for wrong in mistakes:
        with pytest.raises(ConfigurationError) as raised:
            desk.router(**wrong)
        assert clean(raised.value, Stage.secrets_of(desk))


def test_a_body_that_is_no_bytes_is_not_shown(desk: Desk, api: Api) -> None:
    body: Any = ALL
    with pytest.raises(TypeError) as raised:
        api.handle(desk.router(), body, {})
    assert clean(raised.value, Stage.secrets_of(desk))


def test_what_is_searched_for_would_be_found() -> None:
    """The search itself: an object, a log line and an error that do show something."""

    @dataclasses.dataclass
    class Careless:
        text: str

    told = Told()
    told.handle(logging.LogRecord("triage", logging.INFO, "", 0, "%s", (Careless(TEXT),), None))
    told.handle(logging.LogRecord("httpx", logging.DEBUG, "", 0, "%s", (Careless(TEXT),), None))
    assert [found(line, set()) for line in told.lines] == [["textia"], ["textia"]]
    assert found("".join(shown([Careless(EMAIL)])), set()) == ["mailia", "postia"]
    assert found("".join(shown(ValueError("a secret"))), {"secret"}) == ["secret"]
