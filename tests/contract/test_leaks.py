"""Neither customer data nor secrets appear in a log, a `repr`, an error, a warning or a URL.

Everything that a customer writes contains a word that occurs nowhere else, and so does every secret. The tests search
everything that is visible from outside for these words. Bodies of calls may contain them, and headers the secrets.
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
from tests.helpers.desks import BASE_URL, DESKS, Desk
from tests.helpers.json_paths import iterate_paths
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
"""Words that must not be found. They end in "-ia" because none of our ids and words contains them."""

ALL = f"{TEXT} {NAME} {EMAIL} {SUBJECT} {FILE}"


class RecordingVendor:
    """A vendor's adapter that records every request, response and error."""

    def __init__(self, desk: Desk) -> None:
        self._adapter: Any = desk.adapter()
        self.recorded: list[object] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def __repr__(self) -> str:
        return repr(self._adapter)

    def verify(self, delivery: Delivery) -> None:
        self.recorded.append(delivery)
        self._adapter.verify(delivery)

    async def fetch(self, event: Event, send: Send) -> Conversation:
        conversation: Conversation = await self._adapter.fetch(event, partial(self._send, send))
        self.recorded.append(conversation)
        return conversation

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        await self._adapter.perform(step, conversation, partial(self._send, send))

    async def _send(self, send: Send, request: Request) -> Response:
        self.recorded.append(request)
        try:
            response = await send(request)
        except VendorError as err:
            self.recorded.append(err)
            raise
        self.recorded.append(response)
        return response


class Log(logging.Handler):
    """Everything that is logged, as the standard formatter writes it and as a formatter of all attributes would.

    Other libraries' messages count from INFO up: at DEBUG, which a developer has to ask for, some log bodies.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(pathname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] == "triage" or record.levelno >= logging.INFO:
            self.lines += [self.format(record), repr(record.__dict__)]


class Stage:
    """A help desk and Claude for a scene, and every object that the scene created."""

    def __init__(self, desk: Desk, api: Api, tmp_path: Path) -> None:
        self.desk = desk
        self.api = api
        self.vendor = RecordingVendor(desk)
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
        defaults: dict[str, Any] = {
            "vendor": self.vendor,
            "buckets": [Bucket("billing", "Money", actions), Bucket("general", "Else", [Reply("Hi {customer_name}")])],
            "classifier": self.connect_claude(),
        }
        router = self.desk.router(**(defaults | options))
        self.objects += [router, router.vendor, router.buckets, router.classifier, router.inbox, router.engine.inbox]
        self.objects += [router.engine, router.engine.vendor_breaker, router.engine.tokens]
        return router

    def connect_claude(self, deadline: float = 15.0) -> Claude:
        """Return a classifier that calls the fake through the real SDK, without a network."""

        def answer(request: httpx2.Request) -> httpx2.Response:
            target = request.url.raw_path.decode("ascii")
            call = HttpRequest.parse(request.method, target, dict(request.headers), request.content)
            response = self.claude.respond(call)
            return httpx2.Response(response.status, headers=dict(response.headers), content=response.body)

        transport = httpx2.MockTransport(answer)
        return Claude(
            client=anthropic.Anthropic(api_key=KEY, http_client=httpx2.Client(transport=transport)),
            async_client=anthropic.AsyncAnthropic(api_key=KEY, http_client=httpx2.AsyncClient(transport=transport)),
            extra={"mood": "In a word"},
            deadline=deadline,
        )

    def write_message(self) -> Webhook:
        webhook = self.desk.fake.customer_writes(TEXT, name=NAME, email=EMAIL, subject=SUBJECT, attachments=[FILE])
        assert b"textia" in webhook.body or b"nameria" in webhook.body.lower(), "otherwise the test would prove nothing"
        return webhook

    def handle(self, router: Router, webhook: Webhook) -> str:
        received = router.receive(webhook.body, webhook.headers)
        answer = self.api.handle(router, webhook.body, webhook.headers)
        self.objects += [received, answer]
        assert answer.outcome is not None
        return answer.outcome.status

    def work(self, router: Router, **options: Any) -> None:
        """Let a worker process the stored events, and collect the entries in every state."""
        assert isinstance(router.inbox, WatchedInbox)
        self.objects += [*router.inbox.list_entries(), router.inbox.lease(1, 0.0)]
        self.desk.clock.now += 1
        with Worker(router, **options) as worker:
            router.inbox.wait()
        self.objects += [worker, *router.inbox.list_entries()]
        router.inbox.close()

    def list_urls(self) -> Iterator[str]:
        yield from (f"{call.method} {call.path} {dict(call.query)}" for call in self.desk.fake.calls)
        yield from (f"{call.method} {call.path} {dict(call.query)}" for call in self.claude.calls)

    def list_secrets(self) -> set[str]:
        """Return all secrets, plain and encoded as Basic credentials."""
        return self.find_secrets(self.desk)

    @staticmethod
    def find_secrets(desk: Desk) -> set[str]:
        settings = desk.fake.settings(BASE_URL)
        named = {str(value) for name, value in settings.items() if {"secret", "token", "key"} & set(name.split("_"))}
        named |= set(getattr(desk.fake, "tokens", {}))
        users = [value for name, value in settings.items() if name in ("identifier", "client_id", "app_id")]
        basic = {base64.b64encode(f"{user}:{secret}".encode()).decode() for user in users for secret in named}
        assert named
        return named | basic


# Scenes


def route(stage: Stage) -> None:
    assert stage.handle(stage.router(), stage.write_message()) == "routed"
    assert stage.claude.requests


def route_twice(stage: Stage) -> None:
    router, webhook = stage.router(), stage.write_message()
    assert stage.handle(router, webhook) == "routed"
    assert stage.handle(router, stage.desk.fake.redeliver(webhook)) == "duplicate"


def dry_run(stage: Stage) -> None:
    assert stage.handle(stage.router(dry_run=True), stage.write_message()) == "planned"


def suggest(stage: Stage) -> None:
    buckets = [Bucket("billing", "Money", mode="suggest"), Bucket("general", "Else")]
    assert stage.handle(stage.router(buckets=buckets), stage.write_message()) == "suggested"


def ignore(stage: Stage) -> None:
    conversation = stage.write_message().conversation_id or ""
    assert stage.handle(stage.router(), stage.desk.fake.agent_writes(ALL, conversation=conversation)) == "ignored"


def find_human(stage: Stage) -> None:
    webhook = stage.write_message()
    stage.desk.fake.agent_writes(ALL, conversation=webhook.conversation_id or "")
    assert stage.handle(stage.router(), webhook) in ("routed", "ignored")


def send_no_json(stage: Stage) -> None:
    body = f'{{"text": "{ALL}"'.encode()
    assert stage.handle(stage.router(), Webhook(body, stage.desk.sign(body))) == "malformed"


def send_no_event(stage: Stage) -> None:
    for payload in stage.desk.malformed():
        body = json.dumps({**_object(payload), "text": ALL, ALL: ALL}).encode()
        stage.handle(stage.router(), Webhook(body, stage.desk.sign(body)))


def put_text_in_every_field(stage: Stage) -> None:
    """Replace each part of a delivery with customer text, because a vendor may put text anywhere one day."""
    payload = json.loads(stage.write_message().body)
    router = stage.router()
    for value in (ALL, {ALL: ALL}, [ALL]):
        for path in iterate_paths(payload):
            changed = json.loads(json.dumps(payload))
            place = changed
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value
            body = json.dumps(changed).encode()
            answer = router.receive(body, stage.desk.sign(body))
            if answer.event is None:  # otherwise the text became an id, which may be any word
                stage.objects.append(answer)


def put_text_in_every_header(stage: Stage) -> None:
    webhook = stage.write_message()
    for name in webhook.headers:
        headers = webhook.headers | {name: ALL}
        stage.handle(stage.router(), Webhook(webhook.body, headers))


def forge(stage: Stage) -> None:
    webhook = stage.write_message()
    for headers in stage.desk.forgeries(webhook.body).values():
        assert stage.handle(stage.router(), Webhook(webhook.body, headers)) == "refused"


def send_too_much(stage: Stage) -> None:
    assert stage.handle(stage.router(max_body=9), stage.write_message()) == "refused"


def let_vendor_refuse(stage: Stage, status: int) -> None:
    def quoting(text: str) -> str:
        stage.desk.fake.fail(status=status, message=f"cannot be: {ALL}", times=3)
        return "billing"

    stage.desk.fake.fail(stage.desk.read, status=status, message=f"cannot be: {ALL}", times=3)
    router = stage.router(on_failure="retry")
    assert stage.handle(router, stage.write_message()) == "failed"
    stage.desk.fake.recover()
    policy = [Bucket("billing", "Money", [Reply("Hi {customer_name}")])]
    router = stage.router(classifier=quoting, buckets=policy, fallback="billing")
    assert stage.handle(router, stage.write_message()) == "failed"


def let_vendor_time_out(stage: Stage) -> None:
    stage.desk.fake.fail(timeout=True, times=None)
    assert stage.handle(stage.router(), stage.write_message()) == "failed"


def let_vendor_answer(stage: Stage, body: bytes, status: int) -> None:
    stage.desk.fake.fail(stage.desk.read, status=status, body=body, times=3, headers={"Location": f"/{EMAIL}"})
    assert stage.handle(stage.router(), stage.write_message()) in ("failed", "ignored")


def let_classifier_raise(stage: Stage) -> None:
    def classify(text: str) -> str:
        assert "textia" in text
        raise ValueError(text)

    assert (
        stage.handle(stage.router(classifier=classify, buckets=_make_reply_only()), stage.write_message()) == "routed"
    )


def let_classifier_return_nonsense(stage: Stage) -> None:
    for answer in (ALL, None, 7, [ALL], {"bucket": ALL}, ALL.encode(), object()):
        router = stage.router(classifier=lambda text, answer=answer: answer, buckets=_make_reply_only())
        assert stage.handle(router, stage.write_message()) == "routed"


def let_classifier_build_invalid_verdict(stage: Stage) -> None:
    class InvalidVerdict:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            stage.objects.append(conversation)
            return Verdict.model_validate({"bucket": "general", "confidence": ALL, "reason": [ALL]})

    assert (
        stage.handle(stage.router(classifier=InvalidVerdict(), buckets=_make_reply_only()), stage.write_message())
        == "routed"
    )


def let_claude_fail(stage: Stage, **failure: Any) -> None:
    stage.claude.fail(times=10_000, **failure)
    assert stage.handle(stage.router(classifier=stage.connect_claude(deadline=0.05)), stage.write_message()) == "routed"


def run_worker(stage: Stage) -> None:
    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    assert stage.handle(router, stage.write_message()) == "accepted"
    stage.work(router)


def let_worker_dead_letter(stage: Stage) -> None:
    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    assert stage.handle(router, stage.write_message()) == "accepted"
    stage.desk.fake.fail(status=500, message=ALL, times=None)
    stage.work(router, attempts=2)


def let_worker_meet_defect(stage: Stage) -> None:
    async def fetch(event: Event, send: Send) -> Conversation:
        conversation: Conversation = await stage.vendor._adapter.fetch(event, send)
        return {"nobody": conversation}[conversation.messages[-1].text]  # a KeyError with customer text

    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    assert stage.handle(router, stage.write_message()) == "accepted"
    stage.vendor.fetch = fetch  # type: ignore[method-assign]
    stage.work(router)


def store_unreadable(stage: Stage) -> None:
    router = stage.router(inbox=WatchedInbox(stage.path, clock=stage.desk.clock))
    body = json.dumps({"text": ALL, ALL: ALL}).encode()
    stage.handle(router, Webhook(body, stage.desk.sign(body)))
    assert router.inbox is not None
    stage.objects += router.inbox.list_entries()
    router.inbox.close()


def break_inbox(stage: Stage) -> None:
    inbox = WatchedInbox(stage.path, clock=stage.desk.clock)
    router = stage.router(inbox=inbox)
    assert stage.handle(router, stage.write_message()) == "accepted"
    inbox._execute("DROP TABLE triage_events", {})
    assert stage.handle(router, stage.write_message()) == "failed"
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


def fill_inbox(stage: Stage) -> None:
    router = stage.router(inbox=MemoryInbox(1, clock=stage.desk.clock))
    assert stage.handle(router, stage.write_message()) == "accepted"
    assert stage.handle(router, stage.write_message()) == "failed"


def _object(payload: object) -> Mapping[str, object]:
    return payload if isinstance(payload, dict) else {}


def _make_reply_only() -> list[Bucket]:
    return [Bucket("general", "All", [Reply("Hi {customer_name}")])]


QUOTE = {"type": "error", "error": {"type": "invalid_request_error", "message": ALL}, "request_id": "req_1"}

SCENES: Mapping[str, Callable[[Stage], None]] = {
    "a message that is routed": route,
    "a message that comes twice": route_twice,
    "a dry run": dry_run,
    "a suggestion": suggest,
    "an agent's message": ignore,
    "a conversation with a human": find_human,
    "a delivery that is not JSON": send_no_json,
    "a delivery that is not an event": send_no_event,
    "customer text in every field": put_text_in_every_field,
    "customer text in every header": put_text_in_every_header,
    "a forged delivery": forge,
    "a delivery that is too large": send_too_much,
    "a vendor that is down": partial(let_vendor_refuse, status=500),
    "a vendor that forbids": partial(let_vendor_refuse, status=403),
    "a vendor that rejects": partial(let_vendor_refuse, status=422),
    "a vendor that is overloaded": partial(let_vendor_refuse, status=503),
    "a vendor that does not answer": let_vendor_time_out,
    "a vendor that redirects": partial(let_vendor_answer, body=b"", status=302),
    "a vendor that answers HTML": partial(let_vendor_answer, body=f"<p>{ALL}".encode(), status=200),
    "a vendor that answers other JSON": partial(let_vendor_answer, body=json.dumps({ALL: ALL}).encode(), status=200),
    "a worker": run_worker,
    "a worker that dead-letters": let_worker_dead_letter,
    "a worker that meets a defect": let_worker_meet_defect,
    "a delivery that is stored unread": store_unreadable,
}
"""Scenes in which the vendor's adapter handles customer text."""

COMMON_SCENES: Mapping[str, Callable[[Stage], None]] = {
    "a classifier that raises the text": let_classifier_raise,
    "a classifier that returns nonsense": let_classifier_return_nonsense,
    "a classifier that builds an invalid verdict": let_classifier_build_invalid_verdict,
    "Claude down": partial(let_claude_fail, status=500, body=json.dumps(QUOTE).encode()),
    "Claude rejecting with the text": partial(let_claude_fail, status=400, body=json.dumps(QUOTE).encode()),
    "Claude answering the text": partial(let_claude_fail, content=[{"type": "text", "text": ALL}]),
    "Claude answering HTML": partial(let_claude_fail, body=ALL.encode(), headers={"Content-Type": "text/html"}),
    "Claude answering a strange message": partial(let_claude_fail, stop_reason=ALL, model=ALL, usage={ALL: ALL}),
    "Claude refusing to answer": partial(let_claude_fail, stop_reason="refusal", stop_details={"category": ALL}),
    "Claude unreachable": partial(let_claude_fail, drop=True),
    "an inbox that is broken": break_inbox,
    "an inbox that is full": fill_inbox,
}
"""Scenes in which the classifier or the inbox fails: nothing in them depends on the vendor."""


@pytest.fixture
def log() -> Iterator[Log]:
    handler, root = Log(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def render(value: object) -> Iterator[str]:
    """Yield every text form of an object, and of each object of ours within it."""
    if isinstance(value, BaseException):
        yield from (repr(value), str(value), *traceback.format_exception(value))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from () if isinstance(item, str | bytes) else render(item)
    elif value is not None:
        yield from (repr(value), str(value), format(value))
        yield from render([child for child in _list_children(value) if _is_ours(child)])


def _list_children(value: object) -> list[object]:
    if isinstance(value, BaseModel):
        return [getattr(value, name) for name in type(value).model_fields]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return []


def _is_ours(value: object) -> bool:
    return isinstance(value, list | tuple) or type(value).__module__.split(".")[0] == "triage"


def find_private(text: str, secrets: set[str]) -> list[str]:
    """Return the private words and secrets in a text."""
    lowered = text.lower()
    return [word for word in PRIVATE if word in lowered] + [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("scene", SCENES)
def test_private_data_stays_private_with_every_vendor(
    desk: Desk, alternating_api: Api, scene: str, tmp_path: Path, log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(desk, alternating_api, tmp_path)
    SCENES[scene](stage)
    assert_nothing_private(stage, log, capfd)


@pytest.mark.parametrize("scene", COMMON_SCENES)
def test_private_data_stays_private_whatever_fails(
    api: Api, scene: str, tmp_path: Path, log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    """The vendors alternate."""
    desk = list(DESKS.values())[list(COMMON_SCENES).index(scene) % len(DESKS)]()
    stage = Stage(desk, api, tmp_path)
    COMMON_SCENES[scene](stage)
    assert_nothing_private(stage, log, capfd)


def assert_nothing_private(stage: Stage, log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    secrets = stage.list_secrets()
    auth = stage.vendor.auth
    objects = [*stage.objects, *stage.vendor.recorded, auth, auth and auth.request()]
    objects += [router.engine.tokens.current for router in stage.objects if isinstance(router, Router)]
    assert log.lines
    assert objects
    for line in [*log.lines, *capfd.readouterr(), *stage.list_urls()]:
        assert not find_private(line, secrets), line
    for item in objects:
        for text in render(item):
            assert not find_private(text, secrets), text


# Wrong settings


def make_or_catch(make: Callable[[], object]) -> object:
    """Return the object, or the error raised instead."""
    try:
        return make()
    except (ConfigurationError, TypeError) as err:
        return err


def is_clean(error: BaseException, secrets: set[str]) -> bool:
    return not any(find_private(text, secrets) for text in render(error))


MISTAKES: Mapping[str, dict[str, Any]] = {
    "an empty setting": {"user_id": " ", "admin_id": "", "author_id": "", "company_id": "", "website_id": ""},
    "an invalid address": {"base_url": "not an address"},
    "an unknown argument": {"nonsense": True},
    "invalid ids": {
        "user_id": "a b",
        "admin_id": "a b",
        "author_id": "a b",
        "company_id": "/",
        "website_id": "/",
    },
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_adapter_that_rejects_its_settings_shows_no_secret(desk: Desk, mistake: str) -> None:
    settings = desk.fake.settings(BASE_URL)
    wrong = {name: value for name, value in MISTAKES[mistake].items() if name in settings or name == "nonsense"}
    secrets = Stage.find_secrets(desk)
    for text in render(make_or_catch(partial(desk.adapter, **wrong))):
        assert not find_private(text, secrets)


@pytest.mark.parametrize("template", ["{} {}", "{}\n", "\n{}", "{}\x00", "{}\u00e9", " {}"])
def test_an_error_about_a_secret_that_no_header_can_carry_does_not_show_it(
    desk: Desk, alternating_api: Api, template: str, log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    """Use a real server, because only the connection rejects such a header."""
    secret = "keyia-4711"
    settings = desk.fake.settings(BASE_URL)
    names = {name for name in settings if name in ("access_token", "api_token", "key", "client_secret", "app_secret")}
    names -= {"client_secret"} if desk.name == "intercom" else set()
    assert names
    with desk.fake.serve() as url:
        wrong = dict.fromkeys(names, template.format(secret, secret))
        vendor = RecordingVendor(desk)
        vendor._adapter = make_or_catch(partial(desk.adapter, base_url=url, **wrong))
        if isinstance(vendor._adapter, ConfigurationError):
            assert is_clean(vendor._adapter, {secret})
            return
        webhook = desk.fake.customer_writes("Hello")
        router = Router(vendor, buckets=_make_reply_only(), classifier=lambda text: "general", clock=desk.clock)
        answer = alternating_api.handle(router, webhook.body, webhook.headers)
        router.close()
    assert answer.outcome is not None
    assert answer.outcome.status == "failed"
    for line in [*log.lines, *capfd.readouterr(), repr(answer)]:
        assert secret not in line
    for item in vendor.recorded:
        for text in render(item):
            assert secret not in text


def test_claude_rejects_its_settings_without_showing_the_key() -> None:
    for wrong in (f"{KEY} {KEY}", f"{KEY}\n{KEY}"):
        with pytest.raises(ConfigurationError) as raised:
            Claude(api_key=wrong)
        assert is_clean(raised.value, set())
    for sdk in (anthropic.Anthropic(api_key=KEY), anthropic.AsyncAnthropic(api_key=KEY)):
        swapped: Any = {"async_client" if isinstance(sdk, anthropic.Anthropic) else "client": sdk}
        with pytest.raises(ConfigurationError) as raised:
            Claude(**swapped)
        assert is_clean(raised.value, set())


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://me:keyia-4711@127.0.0.1:1/triage",
        "postgresql://me:keyia-4711 @127.0.0.1:1/triage",
        "host=127.0.0.1 port=1 dbname=triage password='keyia-4711",
        "keyia-4711",
    ],
)
def test_an_unreachable_database_shows_no_password(conninfo: str, log: Log) -> None:
    with pytest.raises(ConfigurationError) as raised:
        PostgresInbox(conninfo)
    assert is_clean(raised.value, set())
    assert not [line for line in log.lines if find_private(line, set())]


def test_an_invalid_policy_shows_no_secret(desk: Desk) -> None:
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
        assert is_clean(raised.value, Stage.find_secrets(desk))


def test_a_body_that_is_not_bytes_is_not_shown(desk: Desk, api: Api) -> None:
    body: Any = ALL
    with pytest.raises(TypeError) as raised:
        api.handle(desk.router(), body, {})
    assert is_clean(raised.value, Stage.find_secrets(desk))


def test_the_search_finds_what_it_looks_for() -> None:
    """A log line, an object and an error that do show private data."""

    @dataclasses.dataclass
    class Careless:
        text: str

    log = Log()
    log.handle(logging.LogRecord("triage", logging.INFO, "", 0, "%s", (Careless(TEXT),), None))
    log.handle(logging.LogRecord("httpx", logging.DEBUG, "", 0, "%s", (Careless(TEXT),), None))
    assert [find_private(line, set()) for line in log.lines] == [["textia"], ["textia"]]
    assert find_private("".join(render([Careless(EMAIL)])), set()) == ["mailia", "postia"]
    assert find_private("".join(render(ValueError("a secret"))), {"secret"}) == ["secret"]
