"""The fake Front behaves as Front's documentation says, whatever our adapter makes of it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_core.testing import MockRequest, MockResponse

from tests.helpers.desks.base import Clock
from tests.helpers.paths import SPECS
from triage.testing import FakeFront, RateLimit, Webhook, create_webhook
from triage.testing.desks.front import sign_application, sign_rule

ONE = "/conversations/cnv_1"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> FakeFront:
    return FakeFront(clock=clock, rate_limit=None)


@pytest.fixture
def api(fake: FakeFront) -> Iterator[httpx.Client]:
    with client(fake) as made:
        yield made


def client(fake: FakeFront, token: str = "fake-api-token") -> httpx.Client:  # noqa: S107 - of a fake
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(transport=fake.transport, base_url="https://api2.frontapp.invalid", headers=headers)


def opened(fake: FakeFront, text: str = "Hi", **how: Any) -> str:
    conversation_id = fake.customer_writes(text, **how).conversation_id
    assert conversation_id == "cnv_1"
    return conversation_id


def told(webhook: Webhook) -> Any:
    return json.loads(webhook.body)


def results(answer: httpx.Response) -> list[Any]:
    listed: list[Any] = answer.json()["_results"]
    return listed


# Who is let in, and what is refused.


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_is_refused(fake: FakeFront, token: str) -> None:
    with client(fake, token) as api:
        answer = api.get("/me")
    error = {"status": 401, "title": "Unauthenticated", "message": "Invalid token"}
    assert (answer.status_code, answer.json()) == (401, {"_error": error})


@pytest.mark.parametrize(
    "path", ["/nowhere", "/conversations/cnv_x", "/messages/msg_x", "/conversations/cnv_x/comments"]
)
def test_what_is_not_there_is_404(api: httpx.Client, path: str) -> None:
    assert (api.get(path).status_code, api.get(path).json()["_error"]["title"]) == (404, "Not found")


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
def test_a_wrong_body_is_refused_and_changes_nothing(
    fake: FakeFront, api: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    opened(fake)
    before = api.get(ONE).json()
    assert api.request(method, ONE + path, json=body).status_code == status
    assert api.get(ONE).json() == before
    assert len(fake.conversations["cnv_1"].messages) == 1


@pytest.mark.parametrize("content", [b"no JSON", b"[]"])
def test_a_body_that_is_no_object_is_refused(fake: FakeFront, api: httpx.Client, content: bytes) -> None:
    opened(fake)
    answer = api.patch(ONE, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert api.patch(ONE, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "x" * 65}, {"title": "x"}, {}])
def test_a_tag_needs_a_name(api: httpx.Client, body: Any) -> None:
    assert api.post("/company/tags", json=body).status_code == 400


# What can be read and written.


def test_the_company_its_people_and_places_are_told(fake: FakeFront, api: httpx.Client) -> None:
    assert api.get("/me").json()["id"] == "cmp_4thp0"
    assert [one["id"] for one in results(api.get("/teammates"))] == ["tea_9001", "tea_9002"]
    assert [one["name"] for one in results(api.get("/inboxes"))] == ["Incoming", "On-call", "Billing", "Support"]
    assert [one["id"] for one in results(api.get("/channels"))] == ["cha_1in"]


def test_an_update_replaces_what_it_names(fake: FakeFront, api: httpx.Client) -> None:
    opened(fake)
    fake.tags["tag_a"] = "vip"
    fake.conversations["cnv_1"].tags.append("old")
    fake.conversations["cnv_1"].fields["old"] = 1
    update = {"assignee_id": "tea_9002", "inbox_id": "inb_billing", "tag_ids": ["tag_a"], "custom_fields": {"a": 1}}
    assert api.patch(ONE, json=update).status_code == 204
    shown = api.get(ONE).json()
    assert (shown["status"], shown["assignee"]["id"], shown["custom_fields"]) == ("assigned", "tea_9002", {"a": 1})
    assert ([tag["name"] for tag in shown["tags"]], fake.conversations["cnv_1"].team) == (["vip"], "inb_billing")
    assert api.put(f"{ONE}/assignee", json={"assignee_id": None}).status_code == 204
    assert api.get(ONE).json()["status"] == "unassigned"
    api.put(f"{ONE}/assignee", json={"assignee_id": "tea_9001"})
    api.patch(ONE, json={"assignee_id": None})
    assert api.get(ONE).json()["assignee"] is None


@pytest.mark.parametrize(
    ("written", "read"),
    [("open", "unassigned"), ("archived", "archived"), ("deleted", "deleted"), ("spam", "archived")],
)
def test_a_status_is_read_in_other_words_than_written(
    fake: FakeFront, api: httpx.Client, written: str, read: str
) -> None:
    opened(fake)
    api.patch(ONE, json={"status": written})
    assert (api.get(ONE).json()["status"], fake.status("cnv_1")) == (read, read)
    assert fake.conversations["cnv_1"].state == ("open" if written == "open" else "closed")


def test_a_reply_archives_unless_it_says_otherwise(fake: FakeFront, api: httpx.Client) -> None:
    opened(fake)
    fake.tags["tag_a"] = "vip"
    kept = {"body": "<p>Hi</p>", "options": {"archive": False, "tag_ids": ["tag_a"]}}
    answer = api.post(f"{ONE}/messages", json=kept)
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert (fake.conversations["cnv_1"].state, fake.conversations["cnv_1"].tags) == ("open", ["vip"])
    message = api.get(f"/messages/alt:uid:{answer.json()['message_uid']}").json()
    assert (message["body"], message["is_inbound"], message["author"]["id"]) == ("<p>Hi</p>", False, "tea_9001")
    assert api.get(f"/messages/{message['id']}").json() == message
    api.post(f"{ONE}/messages", json={"body": "Bye", "author_id": "tea_9002", "channel_id": "cha_1in"})
    assert fake.conversations["cnv_1"].state == "closed"
    assert fake.replies("cnv_1") == ["<p>Hi</p>", "Bye"]
    fake.customer_writes("Wait", conversation="cnv_1")
    assert fake.status("cnv_1") == "unassigned"


def test_a_comment_is_markdown_and_belongs_to_its_author(fake: FakeFront, api: httpx.Client) -> None:
    opened(fake)
    made = api.post(f"{ONE}/comments", json={"body": r"\[x\](y) \@ada", "author_id": "tea_9001"})
    assert (made.status_code, made.json()["author"]["type"]) == (201, "user")
    api.post(f"{ONE}/comments", json={"body": "[x](https://example.com)"})
    listed = results(api.get(f"{ONE}/comments"))
    assert [(one["author"]["type"], one["body"]) for one in listed] == [
        ("api", "x (https://example.com)"),
        ("user", "[x](y) @ada"),
    ]
    assert len(results(api.get(f"{ONE}/messages"))) == 1
    assert api.get(f"/messages/{listed[0]['id']}").status_code == 404


def test_tags_are_made_added_and_taken_away(fake: FakeFront, api: httpx.Client) -> None:
    opened(fake)
    ids = [api.post("/company/tags", json={"name": name}).json()["id"] for name in ("vip", "vip")]
    assert ids[0] != ids[1], "two tags may share a name"
    assert [tag["id"] for tag in results(api.get("/tags"))] == ids
    assert api.post(f"{ONE}/tags", json={"tag_ids": [ids[0]]}).status_code == 204
    api.post(f"{ONE}/tags", json={"tag_ids": [ids[0]]})
    assert fake.conversations["cnv_1"].tags == ["vip"]
    assert api.request("DELETE", f"{ONE}/tags", json={"tag_ids": [ids[0]]}).status_code == 204
    assert fake.conversations["cnv_1"].tags == []


def test_messages_come_newest_first_page_by_page(fake: FakeFront, api: httpx.Client) -> None:
    opened(fake, "0", subject="Parcel")
    for number in range(1, 5):
        fake.customer_writes(str(number), conversation="cnv_1")
    page = api.get(f"{ONE}/messages", params={"limit": 3}).json()
    assert [message["text"] for message in page["_results"]] == ["4", "3", "2"]
    assert page["_pagination"]["next"].startswith("https://acme.api.frontapp.com/conversations/cnv_1/messages?limit=3")
    token = page["_pagination"]["next"].rpartition("=")[2]
    last = api.get(f"{ONE}/messages", params={"limit": 3, "page_token": token}).json()
    assert ([message["text"] for message in last["_results"]], last["_pagination"]["next"]) == (["1", "0"], None)
    assert api.get(f"{ONE}/messages", params={"limit": 101}).status_code == 400


def test_only_an_email_has_plain_text(fake: FakeFront, api: httpx.Client) -> None:
    opened(fake, "Hi", attachments=["a.txt"])
    (message,) = results(api.get(f"{ONE}/messages"))
    assert "text" not in message
    assert (message["type"], message["blurb"], message["attachments"][0]["filename"]) == ("front_chat", "Hi", "a.txt")


def test_a_merged_conversation_is_redirected(fake: FakeFront, api: httpx.Client) -> None:
    opened(fake, "One")
    other = fake.customer_writes("Two").conversation_id or ""
    fake.merge("cnv_1", into=other)
    for method, rest in (("GET", ""), ("PATCH", ""), ("POST", "/messages")):
        body = {"POST": {"body": "x"}, "PATCH": {}}.get(method)
        answer = api.request(method, ONE + rest, json=body)
        location = f"https://acme.api.frontapp.com/conversations/{other}{rest}"
        assert (answer.status_code, answer.headers["Location"]) == (301, location)
    assert len(results(api.get(f"/conversations/{other}/messages"))) == 2


# Limits.


def test_the_limit_is_told_and_enforced(clock: Clock) -> None:
    with client(FakeFront(clock=clock, rate_limit=RateLimit(2, 60))) as api:
        answers = [api.get("/me") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["X-RateLimit-Remaining"] == "1"
    assert answers[2].headers["X-RateLimit-Reset"] == str(int(clock() + 60))
    assert answers[2].headers["Retry-After"] == "60"


# Webhooks.


def test_an_applications_event_is_in_an_envelope_and_a_rules_is_not(fake: FakeFront, clock: Clock) -> None:
    webhook = fake.customer_writes("Hi", subject="Parcel")
    envelope = told(webhook)
    assert (envelope["type"], envelope["authorization"]) == ("inbound_received", {"id": "cmp_4thp0"})
    rule = told(FakeFront(clock=clock, source="rule").customer_writes("Hi", subject="Parcel"))
    assert rule == envelope["payload"]
    assert (rule["type"], rule["target"]["data"]["text"], rule["source"]["data"][0]["id"]) == (
        "inbound",
        "Hi",
        "inb_1in",
    )


def test_what_teammates_and_rules_do_is_told(fake: FakeFront) -> None:
    opened(fake)
    answered = told(fake.agent_writes("Hi", conversation="cnv_1"))
    assert (answered["type"], answered["payload"]["target"]["data"]["author"]["id"]) == ("outbound_sent", "tea_9002")
    assigned = told(fake.assign("cnv_1", "tea_9001"))
    assert assigned["payload"]["conversation"]["assignee"]["id"] == "tea_9001"
    assert "target" not in assigned["payload"]
    greeting = told(fake.bot_greets())["payload"]["target"]["data"]
    assert (greeting["is_inbound"], greeting["author"]["type"]) == (False, "rule")


def test_the_timestamp_is_in_milliseconds(fake: FakeFront, clock: Clock) -> None:
    webhook = fake.customer_writes("Hello")
    assert webhook.headers["X-Front-Request-Timestamp"] == str(int(clock() * 1000))


def test_saving_a_webhook_sends_a_signed_challenge(fake: FakeFront) -> None:
    webhook = fake.ping()
    assert told(webhook) == {"type": "sync", "authorization": {"id": "cmp_4thp0"}}
    assert webhook.headers["X-Front-Challenge"].startswith("challenge-")
    stamp = webhook.headers["X-Front-Request-Timestamp"]
    assert webhook.headers["X-Front-Signature"] == sign_application(webhook.body, "fake-webhook-secret", stamp)


def test_a_repeated_delivery_is_signed_anew(fake: FakeFront, clock: Clock) -> None:
    first = fake.customer_writes("Hi")
    clock.now += 60
    again = fake.redeliver(first)
    assert again.body == first.body
    assert again.headers["X-Front-Signature"] != first.headers["X-Front-Signature"]


@pytest.mark.parametrize("kind", ["created", "replied", "agent_replied", "assigned", "bot", "ping"])
def test_signed_webhooks_are_made_of_every_kind(kind: Any) -> None:
    webhook = create_webhook("front", kind, secret="mine", source="rule")
    assert webhook.headers["X-Front-Signature"] == sign_rule(webhook.body, "mine")


# The vendor's own description.


def test_every_answer_fits_fronts_description(fake: FakeFront) -> None:
    described = load_description("front-core.json")
    opened(fake, subject="Parcel", attachments=["a.txt"])
    fake.tags["tag_a"] = "vip"
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/me", None),
        ("POST", "/company/tags", {"name": "x"}),
        ("POST", f"{ONE}/tags", {"tag_ids": ["tag_a"]}),
        ("PATCH", ONE, {"assignee_id": "tea_9002"}),  # who is nobody is null, which the description forbids
        ("GET", ONE, None),
        ("POST", f"{ONE}/messages", {"body": "Hi", "options": {"archive": False}}),
        ("GET", f"{ONE}/messages", None),
        ("POST", f"{ONE}/comments", {"body": "Hi"}),
        ("GET", f"{ONE}/comments", None),
        ("GET", "/teammates", None),
        ("GET", "/inboxes", None),
        ("GET", "/channels", None),
        ("GET", "/company/tags", None),
    ]
    with client(fake) as api:
        for method, path, body in calls:
            got = api.request(method, path, json=body)
            request = MockRequest(
                "https://api2.frontapp.com",
                method.lower(),
                path,
                headers={"Authorization": "Bearer x"},
                data=json.dumps(body).encode() if body else b"",
                content_type="application/json",
            )
            described.validate_request(request)
            content = json.dumps(filled(got.json())).encode() if got.content else b""
            described.validate_response(request, MockResponse(content, got.status_code, dict(got.headers)))


def filled(value: Any) -> Any:
    """Without what is null, but for what must be there: real answers are null where the description does not say so."""
    if isinstance(value, dict):
        kept = ("description", "highlight", "name", "next", "recipient")
        return {name: filled(one) for name, one in value.items() if one is not None or name in kept}
    return [filled(one) for one in value] if isinstance(value, list) else value
