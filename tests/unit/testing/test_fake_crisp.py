"""The fake Crisp behaves as Crisp's documentation and clients say, whatever our adapter makes of it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.helpers.desks.base import Clock
from triage.testing import FakeCrisp, RateLimit, Webhook, create_webhook
from triage.testing.desks.crisp import sign

WEBSITE = "/v1/website/8c842203-7ed8-4e29-a608-7cf78a7d2fcc"
ONE = f"{WEBSITE}/conversation/session_00000000-0000-4000-8000-000000000001"
SESSION = "session_00000000-0000-4000-8000-000000000001"
INBOX = "00000000-0000-4000-8000-0000000002be"
OPERATOR = "00000000-0000-4000-8000-00000000232a"
TEXT = {"type": "text", "from": "operator", "origin": "chat", "content": "Hi"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> FakeCrisp:
    return FakeCrisp(clock=clock, rate_limit=None)


@pytest.fixture
def api(fake: FakeCrisp) -> Iterator[httpx.Client]:
    with client(fake) as made:
        yield made


def client(fake: FakeCrisp, **headers: str) -> httpx.Client:
    sent = {"Authorization": basic("fake-identifier:fake-api-key"), "X-Crisp-Tier": "plugin"} | headers
    return httpx.Client(transport=fake.transport, base_url="https://api.crisp.invalid", headers=sent)


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def opened(fake: FakeCrisp, text: str = "Hi", **how: Any) -> str:
    conversation_id = fake.customer_writes(text, **how).conversation_id
    assert conversation_id == SESSION
    return conversation_id


def told(webhook: Webhook) -> Any:
    return json.loads(webhook.body)


def data(answer: httpx.Response) -> Any:
    assert (answer.is_success, answer.json()["error"]) == (True, False)
    return answer.json()["data"]


# Who is let in, and what is refused.


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Authorization": ""}, 401, "invalid_session"),
        ({"Authorization": basic("fake-identifier:wrong")}, 401, "invalid_session"),
        ({"Authorization": "Basic !"}, 401, "invalid_session"),
        ({"Authorization": "Basic /w=="}, 401, "invalid_session"),
        ({"Authorization": "Bearer fake-api-key"}, 401, "invalid_session"),
        ({"X-Crisp-Tier": "website"}, 404, "not_subscribed"),
    ],
)
def test_wrong_credentials_and_tiers_are_refused(
    fake: FakeCrisp, headers: dict[str, str], status: int, reason: str
) -> None:
    opened(fake)
    with client(fake, **headers) as api:
        answer = api.get(ONE)
    assert (answer.status_code, answer.json()["error"], answer.json()["reason"]) == (status, True, reason)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v1/website/00000000-0000-4000-8000-000000000000/operators/list", "not_subscribed"),
        (f"{WEBSITE}/conversation/session_x", "conversation_not_found"),
        (f"{WEBSITE}/nowhere", "route_not_found"),
    ],
)
def test_what_is_not_there_is_404(api: httpx.Client, path: str, reason: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()["reason"], answer.headers["Bloom-Status"]) == (404, reason, "DIRECT")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/message", {}, 400),
        ("POST", "/message", {"type": "text"}, 400),
        ("POST", "/message", TEXT | {"type": "html"}, 400),
        ("POST", "/message", TEXT | {"from": "bot"}, 400),
        ("POST", "/message", TEXT | {"content": ""}, 400),
        ("POST", "/message", TEXT | {"content": {"text": "x"}}, 400),
        ("POST", "/message", TEXT | {"automated": "yes"}, 400),
        ("POST", "/message", TEXT | {"user": {"name": "x"}}, 400),
        ("POST", "/message", TEXT | {"user": "x"}, 400),
        ("POST", "/message", TEXT | {"fingerprint": "1"}, 400),
        ("POST", "/message", TEXT | {"body": "x"}, 400),
        ("PATCH", "/meta", {"segments": "vip"}, 400),
        ("PATCH", "/meta", {"segments": [1]}, 400),
        ("PATCH", "/meta", {"data": {"a": None}}, 400),
        ("PATCH", "/meta", {"data": []}, 400),
        ("PATCH", "/meta", {"tags": []}, 400),
        ("PATCH", "/state", {"state": "closed"}, 400),
        ("PATCH", "/state", {}, 400),
        ("PATCH", "/routing", {"assigned": [{"user_id": OPERATOR}]}, 400),
        ("PATCH", "/routing", {}, 400),
        ("PATCH", "/routing", {"assigned": {"user_id": "x"}}, 404),
        ("PATCH", "/inbox", {}, 400),
        ("PATCH", "/inbox", {"inbox_id": "x"}, 404),
        ("PATCH", "/block", {"blocked": "yes"}, 400),
    ],
)
def test_a_wrong_body_is_refused_and_changes_nothing(
    fake: FakeCrisp, api: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    opened(fake)
    before = data(api.get(ONE))
    assert api.request(method, ONE + path, json=body).status_code == status
    assert data(api.get(ONE)) == before


def test_a_body_that_is_no_object_of_json_is_refused(fake: FakeCrisp, api: httpx.Client) -> None:
    opened(fake)
    for content, kind in ((b"[]", "application/json"), (b"x", "application/json"), (b"{}", "text/plain")):
        assert api.patch(f"{ONE}/meta", content=content, headers={"Content-Type": kind}).status_code == 400


# What can be read and written.


def test_operators_and_inboxes_are_told(api: httpx.Client) -> None:
    (operator,) = data(api.get(f"{WEBSITE}/operators/list"))
    assert (operator["details"]["user_id"], operator["details"]["first_name"]) == (OPERATOR, "Ada")
    assert [inbox["name"] for inbox in data(api.get(f"{WEBSITE}/inboxes/list/1"))] == ["On-call", "Billing", "Support"]


def test_a_message_is_accepted_and_told(fake: FakeCrisp, api: httpx.Client) -> None:
    opened(fake)
    user = {"type": "participant", "nickname": "Shop", "user_id": "bot-1"}
    answer = api.post(f"{ONE}/message", json=TEXT | {"automated": True, "user": user, "fingerprint": 42})
    assert (answer.status_code, data(answer)) == (202, {"fingerprint": 42})
    api.post(f"{ONE}/message", json=TEXT | {"type": "note", "content": "psst"})
    api.post(f"{ONE}/message", json=TEXT | {"from": "user", "content": "From the visitor"})
    messages = data(api.get(f"{ONE}/messages"))
    assert [(one["type"], one["from"], one["automated"], one["content"]) for one in messages] == [
        ("text", "user", False, "Hi"),
        ("text", "operator", True, "Hi"),
        ("note", "operator", False, "psst"),
        ("text", "user", False, "From the visitor"),
    ]
    assert messages[1]["user"] == user
    assert (fake.replies(SESSION), fake.notes(SESSION)) == (["Hi"], ["psst"])


def test_what_is_written_replaces_what_is_there(fake: FakeCrisp, api: httpx.Client) -> None:
    opened(fake)
    api.patch(f"{ONE}/meta", json={"segments": ["a", "b"], "data": {"x": 1}, "subject": "New", "nickname": "Zoë"})
    api.patch(f"{ONE}/meta", json={"segments": ["c"], "data": {"y": True}, "email": "zoe@example.com"})
    meta = data(api.get(f"{ONE}/meta"))
    assert (meta["segments"], meta["data"], meta["subject"]) == (["c"], {"y": True}, "New")
    assert (meta["nickname"], meta["email"]) == ("Zoë", "zoe@example.com")
    assert data(api.get(ONE))["meta"] == meta


def test_state_routing_inbox_and_block_are_set(fake: FakeCrisp, api: httpx.Client) -> None:
    opened(fake)
    assert "assigned" not in data(api.get(ONE))
    assert data(api.get(f"{ONE}/routing")) == {"assigned": None}
    api.patch(f"{ONE}/state", json={"state": "resolved"})
    api.patch(f"{ONE}/routing", json={"assigned": {"user_id": OPERATOR}, "silent": True})
    api.patch(f"{ONE}/inbox", json={"inbox_id": INBOX})
    api.patch(f"{ONE}/block", json={"blocked": True})
    shown = data(api.get(ONE))
    assert (shown["state"], shown["inbox_id"], shown["is_blocked"]) == ("resolved", INBOX, True)
    assert shown["assigned"] == data(api.get(f"{ONE}/routing"))["assigned"] == {"user_id": OPERATOR}
    assert data(api.get(f"{ONE}/state")) == {"state": "resolved"}
    api.patch(f"{ONE}/routing", json={"assigned": None})
    api.patch(f"{ONE}/inbox", json={"inbox_id": None})
    api.patch(f"{ONE}/block", json={"blocked": False})
    conversation = fake.conversations[SESSION]
    assert (conversation.assignee, conversation.team, fake.blocked) == (None, None, set())
    fake.customer_writes("Wait", conversation=SESSION)
    assert data(api.get(f"{ONE}/state")) == {"state": "unresolved"}


def test_messages_come_in_pages_of_twenty_backwards(fake: FakeCrisp, api: httpx.Client) -> None:
    opened(fake, "0")
    for number in range(1, 30):
        fake.customer_writes(str(number), conversation=SESSION)
    page = data(api.get(f"{ONE}/messages"))
    assert [message["content"] for message in page] == [str(number) for number in range(10, 30)]
    before = data(api.get(f"{ONE}/messages", params={"timestamp_before": page[0]["timestamp"]}))
    assert [message["content"] for message in before] == [str(number) for number in range(10)]


def test_a_file_is_a_message_of_its_own(fake: FakeCrisp, api: httpx.Client) -> None:
    opened(fake, "See this", attachments=["scan.pdf"], name=None)
    file, text = data(api.get(f"{ONE}/messages"))
    assert (file["type"], file["content"]["name"], text["content"]) == ("file", "scan.pdf", "See this")
    assert text["user"]["nickname"] == "visitor493603"
    alone = told(fake.customer_writes("", attachments=["a.pdf"]))
    assert alone["data"]["type"] == "file"


def test_the_quota_is_counted_by_the_day(clock: Clock) -> None:
    with client(FakeCrisp(clock=clock, rate_limit=RateLimit(2, 86_400))) as api:
        answers = [api.get(f"{WEBSITE}/operators/list") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "retry-after" not in answers[2].headers


# Web hooks.


def test_a_visitors_message_looks_as_documented(fake: FakeCrisp, clock: Clock) -> None:
    webhook = fake.customer_writes("<b>Hi</b>", html=True, name="Zoë")
    payload = told(webhook)
    assert (payload["event"], payload["timestamp"]) == ("message:send", int(clock() * 1000))
    assert payload["website_id"] == payload["data"]["website_id"] == fake.website_id
    message = payload["data"]
    assert (message["session_id"], message["from"], message["content"]) == (SESSION, "user", "Hi")
    assert message["user"] == {"type": "user", "user_id": SESSION, "nickname": "Zoë"}
    assert webhook.headers["X-Delivery-Attempt-Count"] == "1"


def test_what_others_do_is_told_in_other_words(fake: FakeCrisp) -> None:
    opened(fake)
    answered = told(fake.agent_writes("<b>Hi</b>", conversation=SESSION, html=True))
    assert (answered["event"], answered["data"]["content"]) == ("message:received", "Hi")
    assert answered["data"]["user"]["user_id"] == OPERATOR
    routing = told(fake.assign(SESSION))
    assert (routing["event"], routing["data"]["routing_id"]) == ("session:set_routing", OPERATOR)
    greeting = told(fake.bot_greets())["data"]
    assert (greeting["automated"], greeting["from"], "user_id" in greeting["user"]) == (True, "operator", False)


def test_a_repeated_delivery_says_so(fake: FakeCrisp, clock: Clock) -> None:
    first = fake.customer_writes("Hi")
    clock.now += 60
    again = fake.redeliver(first)
    assert (again.body, again.headers["X-Delivery-Attempt-Count"]) == (first.body, "2")
    assert again.headers["X-Crisp-Signature"] != first.headers["X-Crisp-Signature"]


def test_a_website_hook_is_not_signed(clock: Clock) -> None:
    webhook = FakeCrisp(clock=clock, hook="website").customer_writes("Hi")
    assert "X-Crisp-Signature" not in webhook.headers
    assert webhook.headers["X-Triage-Url-Key"] == "fake-webhook-secret"


@pytest.mark.parametrize("kind", ["created", "replied", "agent_replied", "assigned", "bot", "ping"])
def test_signed_webhooks_are_made_of_every_kind(kind: Any) -> None:
    webhook = create_webhook("crisp", kind, secret="mine")
    stamp = webhook.headers["X-Crisp-Request-Timestamp"]
    assert webhook.headers["X-Crisp-Signature"] == sign(webhook.body, "mine", stamp)
