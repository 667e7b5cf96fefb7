"""The fake Crisp behaves as Crisp's documentation and clients say, independently of the adapter."""

import base64
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from tests.helpers.desks.base import Clock
from tests.unit.testing.helpers import compute_hmac, open_conversation, parse_body
from triage.testing import FakeCrisp, RateLimit, WebhookKind, create_webhook
from triage.testing.desks.crisp import sign

WEBSITE = "/v1/website/8c842203-7ed8-4e29-a608-7cf78a7d2fcc"
ONE = f"{WEBSITE}/conversation/session_00000000-0000-4000-8000-000000000001"
SESSION = "session_00000000-0000-4000-8000-000000000001"
INBOX = "00000000-0000-4000-8000-0000000002be"
OPERATOR = "00000000-0000-4000-8000-00000000232a"
TEXT = {"type": "text", "from": "operator", "origin": "chat", "content": "Hi"}


@pytest.fixture
def fake(clock: Clock) -> FakeCrisp:
    return FakeCrisp(clock=clock, rate_limit=None)


@pytest.fixture
def client(fake: FakeCrisp) -> Iterator[httpx.Client]:
    with connect(fake) as http_client:
        yield http_client


def connect(fake: FakeCrisp, **headers: str) -> httpx.Client:
    defaults = {"Authorization": encode_basic("fake-identifier:fake-api-key"), "X-Crisp-Tier": "plugin"}
    return httpx.Client(transport=fake.transport, base_url="https://api.crisp.invalid", headers=defaults | headers)


def encode_basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def get_data(response: httpx.Response) -> Any:
    assert (response.is_success, response.json()["error"]) == (True, False)
    return response.json()["data"]


# Authentication and rejected requests.


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Authorization": ""}, 401, "invalid_session"),
        ({"Authorization": encode_basic("fake-identifier:wrong")}, 401, "invalid_session"),
        ({"Authorization": "Basic !"}, 401, "invalid_session"),
        ({"Authorization": "Basic /w=="}, 401, "invalid_session"),
        ({"Authorization": "Bearer fake-api-key"}, 401, "invalid_session"),
        ({"X-Crisp-Tier": "website"}, 404, "not_subscribed"),
    ],
)
def test_wrong_credentials_and_tiers_are_rejected(
    fake: FakeCrisp, headers: dict[str, str], status: int, reason: str
) -> None:
    open_conversation(fake)
    with connect(fake, **headers) as client:
        response = client.get(ONE)
    assert (response.status_code, response.json()["error"], response.json()["reason"]) == (status, True, reason)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v1/website/00000000-0000-4000-8000-000000000000/operators/list", "not_subscribed"),
        (f"{WEBSITE}/conversation/session_x", "conversation_not_found"),
        (f"{WEBSITE}/nowhere", "route_not_found"),
    ],
)
def test_unknown_resources_are_404(client: httpx.Client, path: str, reason: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["reason"]) == (404, reason)
    assert response.headers["Bloom-Status"] == "DIRECT"


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
def test_invalid_bodies_are_rejected_and_change_nothing(
    fake: FakeCrisp, client: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    open_conversation(fake)
    before = get_data(client.get(ONE))
    assert client.request(method, ONE + path, json=body).status_code == status
    assert get_data(client.get(ONE)) == before


def test_a_body_that_is_not_a_json_object_is_rejected(fake: FakeCrisp, client: httpx.Client) -> None:
    open_conversation(fake)
    for content, content_type in ((b"[]", "application/json"), (b"x", "application/json"), (b"{}", "text/plain")):
        assert client.patch(f"{ONE}/meta", content=content, headers={"Content-Type": content_type}).status_code == 400


# Reading and writing.


def test_operators_and_inboxes_are_listed(client: httpx.Client) -> None:
    (operator,) = get_data(client.get(f"{WEBSITE}/operators/list"))
    assert (operator["details"]["user_id"], operator["details"]["first_name"]) == (OPERATOR, "Ada")
    inboxes = get_data(client.get(f"{WEBSITE}/inboxes/list/1"))
    assert [inbox["name"] for inbox in inboxes] == ["On-call", "Billing", "Support"]


def test_a_message_is_accepted_and_listed(fake: FakeCrisp, client: httpx.Client) -> None:
    open_conversation(fake)
    user = {"type": "participant", "nickname": "Shop", "user_id": "bot-1"}
    response = client.post(f"{ONE}/message", json=TEXT | {"automated": True, "user": user, "fingerprint": 42})
    assert (response.status_code, get_data(response)) == (202, {"fingerprint": 42})
    client.post(f"{ONE}/message", json=TEXT | {"type": "note", "content": "psst"})
    client.post(f"{ONE}/message", json=TEXT | {"from": "user", "content": "From the visitor"})
    messages = get_data(client.get(f"{ONE}/messages"))
    assert [(message["type"], message["from"], message["automated"], message["content"]) for message in messages] == [
        ("text", "user", False, "Hi"),
        ("text", "operator", True, "Hi"),
        ("note", "operator", False, "psst"),
        ("text", "user", False, "From the visitor"),
    ]
    assert messages[1]["user"] == user
    assert (fake.replies(SESSION), fake.notes(SESSION)) == (["Hi"], ["psst"])


def test_a_written_value_replaces_the_stored_one(fake: FakeCrisp, client: httpx.Client) -> None:
    open_conversation(fake)
    client.patch(f"{ONE}/meta", json={"segments": ["a", "b"], "data": {"x": 1}, "subject": "New", "nickname": "Zoë"})
    client.patch(f"{ONE}/meta", json={"segments": ["c"], "data": {"y": True}, "email": "zoe@example.com"})
    meta = get_data(client.get(f"{ONE}/meta"))
    assert (meta["segments"], meta["data"], meta["subject"]) == (["c"], {"y": True}, "New")
    assert (meta["nickname"], meta["email"]) == ("Zoë", "zoe@example.com")
    assert get_data(client.get(ONE))["meta"] == meta


def test_state_routing_inbox_and_block_are_set(fake: FakeCrisp, client: httpx.Client) -> None:
    open_conversation(fake)
    assert "assigned" not in get_data(client.get(ONE))
    assert get_data(client.get(f"{ONE}/routing")) == {"assigned": None}
    client.patch(f"{ONE}/state", json={"state": "resolved"})
    client.patch(f"{ONE}/routing", json={"assigned": {"user_id": OPERATOR}, "silent": True})
    client.patch(f"{ONE}/inbox", json={"inbox_id": INBOX})
    client.patch(f"{ONE}/block", json={"blocked": True})
    shown = get_data(client.get(ONE))
    assert (shown["state"], shown["inbox_id"], shown["is_blocked"]) == ("resolved", INBOX, True)
    assert shown["assigned"] == get_data(client.get(f"{ONE}/routing"))["assigned"] == {"user_id": OPERATOR}
    assert get_data(client.get(f"{ONE}/state")) == {"state": "resolved"}
    client.patch(f"{ONE}/routing", json={"assigned": None})
    client.patch(f"{ONE}/inbox", json={"inbox_id": None})
    client.patch(f"{ONE}/block", json={"blocked": False})
    conversation = fake.conversations[SESSION]
    assert (conversation.assignee, conversation.team, fake.blocked) == (None, None, set())
    fake.customer_writes("Wait", conversation=SESSION)
    assert get_data(client.get(f"{ONE}/state")) == {"state": "unresolved"}


def test_messages_are_paged_backwards_twenty_at_a_time(fake: FakeCrisp, client: httpx.Client) -> None:
    open_conversation(fake, "0")
    for number in range(1, 30):
        fake.customer_writes(str(number), conversation=SESSION)
    page = get_data(client.get(f"{ONE}/messages"))
    assert [message["content"] for message in page] == [str(number) for number in range(10, 30)]
    before = get_data(client.get(f"{ONE}/messages", params={"timestamp_before": page[0]["timestamp"]}))
    assert [message["content"] for message in before] == [str(number) for number in range(10)]


def test_a_file_is_a_separate_message(fake: FakeCrisp, client: httpx.Client) -> None:
    open_conversation(fake, "See this", attachments=["scan.pdf"], name=None)
    file, text = get_data(client.get(f"{ONE}/messages"))
    assert (file["type"], file["content"]["name"], text["content"]) == ("file", "scan.pdf", "See this")
    assert text["user"]["nickname"] == "visitor493603"
    message = parse_body(fake.customer_writes("", attachments=["a.pdf"]))
    assert message["data"]["type"] == "file"


def test_the_quota_counts_calls_per_day(clock: Clock) -> None:
    with connect(FakeCrisp(clock=clock, rate_limit=RateLimit(2, 86_400))) as client:
        responses = [client.get(f"{WEBSITE}/operators/list") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert "retry-after" not in responses[2].headers


# Web hooks.


def test_the_web_hook_for_a_visitors_message_has_the_documented_format(fake: FakeCrisp, clock: Clock) -> None:
    webhook = fake.customer_writes("<b>Hi</b>", html=True, name="Zoë")
    payload = parse_body(webhook)
    assert (payload["event"], payload["timestamp"]) == ("message:send", int(clock() * 1000))
    assert payload["website_id"] == payload["data"]["website_id"] == fake.website_id
    message = payload["data"]
    assert (message["session_id"], message["from"], message["content"]) == (SESSION, "user", "Hi")
    assert message["user"] == {"type": "user", "user_id": SESSION, "nickname": "Zoë"}
    assert webhook.headers["X-Delivery-Attempt-Count"] == "1"


def test_operators_and_bots_cause_other_events_than_visitors(fake: FakeCrisp) -> None:
    open_conversation(fake)
    reply = parse_body(fake.agent_writes("<b>Hi</b>", conversation=SESSION, html=True))
    assert (reply["event"], reply["data"]["content"]) == ("message:received", "Hi")
    assert reply["data"]["user"]["user_id"] == OPERATOR
    routing = parse_body(fake.assign(SESSION))
    assert (routing["event"], routing["data"]["routing_id"]) == ("session:set_routing", OPERATOR)
    greeting = parse_body(fake.bot_greets())["data"]
    assert (greeting["automated"], greeting["from"], "user_id" in greeting["user"]) == (True, "operator", False)


def test_a_redelivery_counts_its_attempts_and_keeps_the_first_timestamp(fake: FakeCrisp, clock: Clock) -> None:
    first = fake.customer_writes("Hi")
    clock.now += 60
    again = fake.redeliver(first)
    assert (again.body, again.headers["X-Delivery-Attempt-Count"]) == (first.body, "2")
    assert again.headers["X-Crisp-Request-Timestamp"] == first.headers["X-Crisp-Request-Timestamp"]


def test_a_website_hook_is_not_signed(clock: Clock) -> None:
    webhook = FakeCrisp(clock=clock, hook="website").customer_writes("Hi")
    assert "X-Crisp-Signature" not in webhook.headers
    assert webhook.headers["X-Triage-Url-Key"] == "fake-webhook-secret"


def test_openssl_computes_the_same_signature(fake: FakeCrisp) -> None:
    webhook = fake.customer_writes("Größe 38 – 日本語 😀")
    stamp = webhook.headers["X-Crisp-Request-Timestamp"]
    message = b"[" + stamp.encode() + b";" + webhook.body + b"]"
    assert webhook.headers["X-Crisp-Signature"] == compute_hmac("sha256", "fake-webhook-secret", message).hex()


def test_every_kind_of_webhook_can_be_created() -> None:
    for kind in get_args(WebhookKind):
        webhook = create_webhook("crisp", kind, secret="mine")
        stamp = webhook.headers["X-Crisp-Request-Timestamp"]
        assert webhook.headers["X-Crisp-Signature"] == sign(webhook.body, "mine", stamp), kind
