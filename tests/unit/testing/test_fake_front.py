"""The fake Front behaves as Front's documentation says, independently of the adapter."""

import base64
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from tests.helpers.desks.base import Clock
from tests.helpers.specs import load_description
from tests.unit.testing.helpers import check_exchange, compute_hmac, open_conversation, parse_body
from triage.testing import FakeFront, RateLimit, WebhookKind, create_webhook
from triage.testing.desks.front import sign_application, sign_rule

ONE = "/conversations/cnv_1"
_REQUIRED = ("description", "highlight", "name", "next", "recipient")


@pytest.fixture
def fake(clock: Clock) -> FakeFront:
    return FakeFront(clock=clock, rate_limit=None)


@pytest.fixture
def client(fake: FakeFront) -> Iterator[httpx.Client]:
    with connect(fake) as http_client:
        yield http_client


def connect(fake: FakeFront, token: str = "fake-api-token") -> httpx.Client:  # noqa: S107 - protects nothing
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(transport=fake.transport, base_url="https://api2.frontapp.invalid", headers=headers)


def get_results(response: httpx.Response) -> list[Any]:
    entries: list[Any] = response.json()["_results"]
    return entries


# Authentication and rejected requests.


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_is_rejected(fake: FakeFront, token: str) -> None:
    with connect(fake, token) as client:
        response = client.get("/me")
    error = {"status": 401, "title": "Unauthenticated", "message": "Invalid token"}
    assert (response.status_code, response.json()) == (401, {"_error": error})


@pytest.mark.parametrize(
    "path", ["/nowhere", "/conversations/cnv_x", "/messages/msg_x", "/conversations/cnv_x/comments"]
)
def test_unknown_resources_are_404(client: httpx.Client, path: str) -> None:
    assert (client.get(path).status_code, client.get(path).json()["_error"]["title"]) == (404, "Not found")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "", {"team_id": "inb_billing"}, 400),
        ("PATCH", "", {"status": "unassigned"}, 400),
        ("PATCH", "", {"assignee_id": 7}, 400),
        ("PATCH", "", {"assignee_id": "tea_x"}, 404),
        ("PATCH", "", {"inbox_id": "inb_x"}, 404),
        ("PATCH", "", {"tag_ids": ["tag_x"]}, 404),
        ("PATCH", "", {"custom_fields": []}, 400),
        ("PUT", "/assignee", {}, 400),
        ("PUT", "/assignee", {"assignee_id": "tea_x"}, 404),
        ("POST", "/messages", {}, 400),
        ("POST", "/messages", {"body": "x", "archive": False}, 400),
        ("POST", "/messages", {"body": "x", "options": {"close": True}}, 400),
        ("POST", "/messages", {"body": "x", "options": {"archive": "no"}}, 400),
        ("POST", "/messages", {"body": "x", "options": {"tag_ids": ["tag_x"]}}, 404),
        ("POST", "/messages", {"body": "x", "author_id": "tea_x"}, 404),
        ("POST", "/messages", {"body": "x", "channel_id": "cha_x"}, 404),
        ("POST", "/comments", {"text": "x"}, 400),
        ("POST", "/comments", {"body": "x", "author_id": "tea_x"}, 404),
        ("POST", "/tags", {"tag_id": "tag_x"}, 400),
        ("POST", "/tags", {"tag_ids": "tag_x"}, 400),
        ("POST", "/tags", {"tag_ids": ["tag_x"]}, 404),
    ],
)
def test_invalid_bodies_are_rejected_and_change_nothing(
    fake: FakeFront, client: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    open_conversation(fake)
    before = client.get(ONE).json()
    assert client.request(method, ONE + path, json=body).status_code == status
    assert client.get(ONE).json() == before
    assert len(fake.conversations["cnv_1"].messages) == 1


@pytest.mark.parametrize("content", [b"no JSON", b"[]"])
def test_a_body_that_is_not_a_json_object_is_rejected(fake: FakeFront, client: httpx.Client, content: bytes) -> None:
    open_conversation(fake)
    response = client.patch(ONE, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert client.patch(ONE, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "x" * 65}, {"title": "x"}, {}])
def test_a_tag_needs_a_name(client: httpx.Client, body: Any) -> None:
    assert client.post("/company/tags", json=body).status_code == 400


# Reading and writing.


def test_the_company_its_teammates_inboxes_and_channels_are_listed(fake: FakeFront, client: httpx.Client) -> None:
    assert client.get("/me").json()["id"] == "cmp_4thp0"
    assert [teammate["id"] for teammate in get_results(client.get("/teammates"))] == ["tea_9001", "tea_9002"]
    inboxes = get_results(client.get("/inboxes"))
    assert [inbox["name"] for inbox in inboxes] == ["Incoming", "On-call", "Billing", "Support"]
    assert [channel["id"] for channel in get_results(client.get("/channels"))] == ["cha_1in"]


def test_an_update_replaces_the_given_fields(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake)
    fake.tags["tag_a"] = "vip"
    fake.conversations["cnv_1"].tags.append("old")
    fake.conversations["cnv_1"].fields["old"] = 1
    update = {"assignee_id": "tea_9002", "inbox_id": "inb_billing", "tag_ids": ["tag_a"], "custom_fields": {"a": 1}}
    assert client.patch(ONE, json=update).status_code == 204
    shown = client.get(ONE).json()
    assert (shown["status"], shown["assignee"]["id"], shown["custom_fields"]) == ("assigned", "tea_9002", {"a": 1})
    assert ([tag["name"] for tag in shown["tags"]], fake.conversations["cnv_1"].team) == (["vip"], "inb_billing")
    assert client.put(f"{ONE}/assignee", json={"assignee_id": None}).status_code == 204
    assert client.get(ONE).json()["status"] == "unassigned"
    client.put(f"{ONE}/assignee", json={"assignee_id": "tea_9001"})
    client.patch(ONE, json={"assignee_id": None})
    assert client.get(ONE).json()["assignee"] is None


@pytest.mark.parametrize(
    ("written", "read"),
    [("open", "unassigned"), ("archived", "archived"), ("deleted", "deleted"), ("spam", "archived")],
)
def test_a_status_is_read_under_another_name_than_written(
    fake: FakeFront, client: httpx.Client, written: str, read: str
) -> None:
    open_conversation(fake)
    client.patch(ONE, json={"status": written})
    assert (client.get(ONE).json()["status"], fake.status("cnv_1")) == (read, read)
    assert fake.conversations["cnv_1"].state == ("open" if written == "open" else "closed")


def test_a_reply_archives_the_conversation_unless_its_options_say_otherwise(
    fake: FakeFront, client: httpx.Client
) -> None:
    open_conversation(fake)
    fake.tags["tag_a"] = "vip"
    reply = {"body": "<p>Hi</p>", "options": {"archive": False, "tag_ids": ["tag_a"]}}
    response = client.post(f"{ONE}/messages", json=reply)
    assert (response.status_code, response.json()["status"]) == (202, "accepted")
    assert (fake.conversations["cnv_1"].state, fake.conversations["cnv_1"].tags) == ("open", ["vip"])
    message = client.get(f"/messages/alt:uid:{response.json()['message_uid']}").json()
    assert (message["body"], message["is_inbound"], message["author"]["id"]) == ("<p>Hi</p>", False, "tea_9001")
    assert client.get(f"/messages/{message['id']}").json() == message
    client.post(f"{ONE}/messages", json={"body": "Bye", "author_id": "tea_9002", "channel_id": "cha_1in"})
    assert fake.conversations["cnv_1"].state == "closed"
    assert fake.replies("cnv_1") == ["<p>Hi</p>", "Bye"]
    fake.customer_writes("Wait", conversation="cnv_1")
    assert fake.status("cnv_1") == "unassigned"


def test_a_comment_is_markdown_and_has_an_author(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake)
    response = client.post(f"{ONE}/comments", json={"body": r"\[x\](y) \@ada", "author_id": "tea_9001"})
    assert (response.status_code, response.json()["author"]["type"]) == (201, "user")
    client.post(f"{ONE}/comments", json={"body": "[x](https://example.com)"})
    comments = get_results(client.get(f"{ONE}/comments"))
    assert [(comment["author"]["type"], comment["body"]) for comment in comments] == [
        ("api", "x (https://example.com)"),
        ("user", "[x](y) @ada"),
    ]
    assert len(get_results(client.get(f"{ONE}/messages"))) == 1
    assert client.get(f"/messages/{comments[0]['id']}").status_code == 404


def test_tags_can_be_created_added_and_removed(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake)
    ids = [client.post("/company/tags", json={"name": name}).json()["id"] for name in ("vip", "vip")]
    assert ids[0] != ids[1], "two tags can have the same name"
    assert [tag["id"] for tag in get_results(client.get("/tags"))] == ids
    assert client.post(f"{ONE}/tags", json={"tag_ids": [ids[0]]}).status_code == 204
    client.post(f"{ONE}/tags", json={"tag_ids": [ids[0]]})
    assert fake.conversations["cnv_1"].tags == ["vip"]
    assert client.request("DELETE", f"{ONE}/tags", json={"tag_ids": [ids[0]]}).status_code == 204
    assert fake.conversations["cnv_1"].tags == []


def test_messages_are_paged_newest_first(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake, "0", subject="Parcel")
    for number in range(1, 5):
        fake.customer_writes(str(number), conversation="cnv_1")
    page = client.get(f"{ONE}/messages", params={"limit": 3}).json()
    assert [message["text"] for message in page["_results"]] == ["4", "3", "2"]
    assert page["_pagination"]["next"].startswith("https://acme.api.frontapp.com/conversations/cnv_1/messages?limit=3")
    token = page["_pagination"]["next"].rpartition("=")[2]
    last = client.get(f"{ONE}/messages", params={"limit": 3, "page_token": token}).json()
    assert ([message["text"] for message in last["_results"]], last["_pagination"]["next"]) == (["1", "0"], None)
    assert client.get(f"{ONE}/messages", params={"limit": 101}).status_code == 400


def test_only_an_email_has_plain_text(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake, "Hi", attachments=["a.txt"])
    (message,) = get_results(client.get(f"{ONE}/messages"))
    assert message["text"] is None
    assert (message["type"], message["blurb"], message["attachments"][0]["filename"]) == ("front_chat", "Hi", "a.txt")


def test_a_merged_conversation_is_redirected(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake, "One")
    other = fake.customer_writes("Two").conversation_id or ""
    fake.merge("cnv_1", into=other)
    for method, rest in (("GET", ""), ("PATCH", ""), ("POST", "/messages")):
        body = {"POST": {"body": "x"}, "PATCH": {}}.get(method)
        response = client.request(method, ONE + rest, json=body)
        location = f"https://acme.api.frontapp.com/conversations/{other}{rest}"
        assert (response.status_code, response.headers["Location"]) == (301, location)
    assert len(get_results(client.get(f"/conversations/{other}/messages"))) == 2


def test_events_are_listed_newest_first(fake: FakeFront, client: httpx.Client, clock: Clock) -> None:
    open_conversation(fake)
    client.post(f"{ONE}/comments", json={"body": "psst"})
    clock.now += 1
    client.patch(ONE, json={"status": "archived"})
    client.patch(ONE, json={"status": "spam"})
    clock.now += 1
    client.patch(ONE, json={"status": "open"})
    events = get_results(client.get(f"{ONE}/events"))
    assert [event["type"] for event in events] == ["reopen", "archive", "inbound", "comment"]
    assert len({event["id"] for event in events}) == 4


def test_a_customer_reopens_a_conversation_without_an_event(
    fake: FakeFront, client: httpx.Client, clock: Clock
) -> None:
    open_conversation(fake)
    for _ in range(2):
        clock.now += 1
        fake.archive("cnv_1")
        clock.now += 1
        fake.customer_writes("Again", conversation="cnv_1")
        assert fake.status("cnv_1") == "unassigned"
    types = [event["type"] for event in get_results(client.get(f"{ONE}/events"))]
    assert types == ["inbound", "archive", "inbound", "archive", "inbound"]


def test_a_conversation_that_a_test_closes_was_archived_after_its_last_message(
    fake: FakeFront, client: httpx.Client, clock: Clock
) -> None:
    open_conversation(fake)
    for _ in range(2):
        clock.now += 60
        fake.conversations["cnv_1"].state = "closed"
        assert fake.status("cnv_1") == "archived"
        fake.customer_writes("Again", conversation="cnv_1")
    types = [event["type"] for event in get_results(client.get(f"{ONE}/events"))]
    assert types == ["inbound", "archive", "inbound", "archive", "inbound"]


def test_tags_and_inboxes_belong_to_workspaces(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake)
    fake.tags |= {"tag_a": "vip", "tag_b": "vip", "tag_c": "vip"}
    fake.tag_owners |= {"tag_a": "tim_2", "tag_c": "tea_9002"}
    fake.workspaces["inb_1in"] = "tim_2"
    tags = get_results(client.get("/tags"))
    owners = [tag["_links"]["related"]["owner"] for tag in tags]
    base = "https://acme.api.frontapp.com"
    assert owners == [f"{base}/teams/tim_2", None, f"{base}/teammates/tea_9002"]
    assert [tag["is_private"] for tag in tags] == [False, False, True]
    assert [tag["id"] for tag in get_results(client.get("/company/tags"))] == ["tag_b"]
    (inbox,) = get_results(client.get(f"{ONE}/inboxes"))
    assert (inbox["id"], inbox["_links"]["related"]["owner"]) == ("inb_1in", f"{base}/teams/tim_2")


def test_a_tag_that_a_test_adds_exists(fake: FakeFront, client: httpx.Client) -> None:
    open_conversation(fake)
    fake.conversations["cnv_1"].tags.append("vip")
    assert [tag["name"] for tag in client.get(ONE).json()["tags"]] == ["vip"]
    assert [tag["name"] for tag in get_results(client.get("/tags"))] == ["vip"]


# Rate limits.


def test_a_burst_above_the_rate_limit_is_accepted(clock: Clock) -> None:
    with connect(FakeFront(clock=clock, rate_limit=RateLimit(1, 60), burst=2)) as client:
        responses = [client.get("/me") for _ in range(4)]
        clock.now += 600
        again = client.get("/me")
    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    left = [response.headers["X-RateLimit-Burst-Remaining"] for response in (*responses, again)]
    assert left == ["2", "1", "0", "0", "2"]
    assert responses[1].headers["X-RateLimit-Remaining"] == "0"


def test_the_rate_limit_is_reported_and_enforced(clock: Clock) -> None:
    with connect(FakeFront(clock=clock, rate_limit=RateLimit(2, 60))) as client:
        responses = [client.get("/me") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["X-RateLimit-Remaining"] == "1"
    assert responses[2].headers["X-RateLimit-Reset"] == str(int(clock() + 60))
    assert responses[2].headers["Retry-After"] == "60"


# Webhooks.


def test_only_events_of_applications_have_an_envelope(fake: FakeFront, clock: Clock) -> None:
    webhook = fake.customer_writes("Hi", subject="Parcel")
    envelope = parse_body(webhook)
    assert (envelope["type"], envelope["authorization"]) == ("inbound_received", {"id": "cmp_4thp0"})
    rule = parse_body(FakeFront(clock=clock, source="rule").customer_writes("Hi", subject="Parcel"))
    assert rule == envelope["payload"]
    assert (rule["type"], rule["target"]["data"]["text"], rule["source"]["data"][0]["id"]) == (
        "inbound",
        "Hi",
        "inb_1in",
    )


def test_events_report_what_teammates_and_rules_do(fake: FakeFront) -> None:
    open_conversation(fake)
    reply = parse_body(fake.agent_writes("Hi", conversation="cnv_1"))
    assert (reply["type"], reply["payload"]["target"]["data"]["author"]["id"]) == ("outbound_sent", "tea_9002")
    assignment = parse_body(fake.assign("cnv_1", "tea_9001"))
    assert assignment["payload"]["conversation"]["assignee"]["id"] == "tea_9001"
    assert "target" not in assignment["payload"]
    greeting = parse_body(fake.bot_greets())["payload"]["target"]["data"]
    assert (greeting["is_inbound"], greeting["author"]["type"]) == (False, "rule")


@pytest.mark.parametrize(("source", "name"), [("application", "message_delivery_failed"), ("rule", "sending_error")])
def test_a_message_that_is_not_delivered_is_reported(clock: Clock, source: Any, name: str) -> None:
    fake = FakeFront(clock=clock, source=source)
    open_conversation(fake)
    fake.agent_writes("Hi", conversation="cnv_1")
    report = parse_body(fake.fail_delivery("cnv_1"))
    assert report["type"] == name
    event = report.get("payload", report)
    assert event["target"]["data"]["error_type"] == "bounce"


def test_a_preview_shows_only_ids_and_links(clock: Clock) -> None:
    fake = FakeFront(clock=clock, source="rule", previews=True)
    event = parse_body(fake.customer_writes("Hi", subject="Parcel"))
    assert event["conversation"].keys() == {"_links", "id", "subject"}
    assert event["target"]["data"].keys() == event["source"]["data"].keys() == {"_links", "id"}
    assert event["source"]["data"]["id"] == "inb_1in"
    assignment = parse_body(fake.assign("cnv_1"))
    assert (assignment["source"]["data"]["id"], "target" in assignment) == ("tea_9002", False)


def test_a_webhook_contains_the_message_twice(fake: FakeFront) -> None:
    event = parse_body(fake.customer_writes("Hi"))["payload"]
    assert event["conversation"]["last_message"] == event["target"]["data"]


def test_openssl_computes_the_same_signatures(fake: FakeFront, clock: Clock) -> None:
    webhook = fake.customer_writes("Größe 38 – 日本語 😀")
    stamp = webhook.headers["X-Front-Request-Timestamp"]
    assert stamp == str(int(clock() * 1000))
    digest = compute_hmac("sha256", "fake-webhook-secret", stamp.encode() + b":" + webhook.body)
    assert webhook.headers["X-Front-Signature"] == base64.b64encode(digest).decode()
    rule = FakeFront(clock=clock, source="rule").customer_writes("Größe 38 – 日本語 😀")
    digest = compute_hmac("sha1", "fake-webhook-secret", rule.body)
    assert rule.headers["X-Front-Signature"] == base64.b64encode(digest).decode()


def test_saving_a_webhook_sends_a_signed_challenge(fake: FakeFront) -> None:
    webhook = fake.ping()
    assert parse_body(webhook) == {"type": "sync", "authorization": {"id": "cmp_4thp0"}}
    assert webhook.headers["X-Front-Challenge"].startswith("challenge-")
    stamp = webhook.headers["X-Front-Request-Timestamp"]
    assert webhook.headers["X-Front-Signature"] == sign_application(webhook.body, "fake-webhook-secret", stamp)


def test_a_redelivery_gets_a_new_signature(fake: FakeFront, clock: Clock) -> None:
    first = fake.customer_writes("Hi")
    clock.now += 60
    again = fake.redeliver(first)
    assert again.body == first.body
    assert again.headers["X-Front-Signature"] != first.headers["X-Front-Signature"]


def test_every_kind_of_webhook_can_be_created() -> None:
    for kind in get_args(WebhookKind):
        webhook = create_webhook("front", kind, secret="mine", source="rule")
        assert webhook.headers["X-Front-Signature"] == sign_rule(webhook.body, "mine"), kind


# The vendor's API description.


def test_every_response_matches_fronts_api_description(fake: FakeFront) -> None:
    description = load_description("front-core.json")
    open_conversation(fake, subject="Parcel", attachments=["a.txt"])
    fake.tags["tag_a"] = "vip"
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/me", None),
        ("POST", "/company/tags", {"name": "x"}),
        ("POST", f"{ONE}/tags", {"tag_ids": ["tag_a"]}),
        ("PATCH", ONE, {"assignee_id": "tea_9002"}),  # without an assignee it is null, which the description forbids
        ("GET", ONE, None),
        ("POST", f"{ONE}/messages", {"body": "Hi", "options": {"archive": False}}),
        ("GET", f"{ONE}/messages", None),
        ("POST", f"{ONE}/comments", {"body": "Hi"}),
        ("GET", f"{ONE}/comments", None),
        ("GET", "/teammates", None),
        ("GET", "/inboxes", None),
        ("GET", "/channels", None),
        ("GET", "/company/tags", None),
        ("GET", "/tags", None),
        ("GET", f"{ONE}/inboxes", None),
        ("GET", f"{ONE}/events", None),
    ]
    with connect(fake) as client:
        for method, path, body in calls:
            check_exchange(description, client, method, path, body, keep=_REQUIRED)
