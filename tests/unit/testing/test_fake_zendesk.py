"""The fake Zendesk behaves as Zendesk's documentation says, independently of the adapter."""

import base64
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from tests.helpers.desks.base import Clock
from tests.helpers.specs import load_description
from tests.unit.testing.helpers import check_exchange, compute_hmac, open_conversation, parse_body
from triage.testing import FakeZendesk, RateLimit, WebhookKind, create_webhook
from triage.testing.desks.zendesk import PUBLIC_SECRET, TRIGGER_BODY, sign

GRANT = {"grant_type": "client_credentials", "client_id": "fake-client-id", "client_secret": "fake-client-secret"}
TICKET = "/api/v2/tickets/35001"


@pytest.fixture
def fake(clock: Clock) -> FakeZendesk:
    return FakeZendesk(clock=clock, rate_limit=None)


@pytest.fixture
def client(fake: FakeZendesk) -> Iterator[httpx.Client]:
    with connect(fake) as http_client:
        yield http_client


def connect(fake: FakeZendesk, authorization: str = "Bearer fake-access-token") -> httpx.Client:
    headers = {"Authorization": authorization}
    return httpx.Client(transport=fake.transport, base_url="https://acme.zendesk.invalid", headers=headers)


def encode_basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def update(client: httpx.Client, **ticket: Any) -> httpx.Response:
    return client.put(TICKET, json={"ticket": ticket})


# Authentication.


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer wrong",
        "fake-access-token",
        encode_basic("staff-9001@example.com", "fake-api-token"),
        encode_basic("staff-9001@example.com/token", "wrong"),
        encode_basic("nobody@example.com/token", "fake-api-token"),
        "Basic !",
        "Basic /w==",
    ],
)
def test_wrong_credentials_are_rejected(fake: FakeZendesk, authorization: str) -> None:
    with connect(fake, authorization) as client:
        response = client.get("/api/v2/users/me")
    assert (response.status_code, response.json()) == (401, {"error": "Couldn't authenticate you"})


def test_the_api_token_is_valid_with_any_users_email_address(fake: FakeZendesk) -> None:
    for user in ("9001", "9002"):
        with connect(fake, encode_basic(f"staff-{user}@example.com/token", "fake-api-token")) as client:
            assert client.get("/api/v2/users/me").json()["user"]["role"] == "agent"


def test_client_credentials_are_exchanged_for_a_temporary_token(fake: FakeZendesk, clock: Clock) -> None:
    with connect(fake, "") as client:
        grant = client.post("/oauth/tokens", json=GRANT | {"expires_in": 300, "scope": "read write"}).json()
        assert (grant["token_type"], grant["expires_in"], grant["scope"]) == ("bearer", 300, "read write")
        headers = {"Authorization": f"Bearer {grant['access_token']}"}
        clock.now += 299
        assert client.get("/api/v2/users/me", headers=headers).status_code == 200
        clock.now += 1
        assert client.get("/api/v2/users/me", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"expires_in": 299}, 400, "invalid_request"),
        ({"expires_in": "1 day"}, 400, "invalid_request"),
    ],
)
def test_wrong_client_credentials_get_no_token(
    fake: FakeZendesk, change: dict[str, Any], status: int, error: str
) -> None:
    with connect(fake, "") as client:
        response = client.post("/oauth/tokens", json=GRANT | change)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_tokens_can_be_withdrawn(fake: FakeZendesk, client: httpx.Client) -> None:
    fake.withdraw_tokens()
    assert client.get("/api/v2/users/me").status_code == 401


# Reading.


def test_a_ticket_has_no_comments_and_its_path_may_end_in_json(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake, "Hi", subject="Parcel")
    for path in (TICKET, f"{TICKET}.json"):
        ticket = client.get(path).json()["ticket"]
        assert (ticket["id"], ticket["subject"], ticket["status"]) == (35001, "Parcel", "new")
        assert "comments" not in ticket


def test_comments_are_listed_oldest_first_with_their_users_on_request(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake, "One")
    fake.agent_writes("Two", conversation="35001")
    page = client.get(f"{TICKET}/comments").json()
    assert [comment["plain_body"] for comment in page["comments"]] == ["One", "Two"]
    assert "users" not in page
    users = client.get(f"{TICKET}/comments", params={"include": "users"}).json()["users"]
    assert [user["role"] for user in users] == ["end-user", "agent"]


def test_comments_are_paged_by_cursor_and_by_offset(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake, "0")
    for number in range(1, 5):
        fake.customer_writes(str(number), conversation="35001")
    query: dict[str, Any] = {"page[size]": 2, "sort": "-created_at"}
    bodies: list[str] = []
    while True:
        page = client.get(f"{TICKET}/comments", params=query).json()
        bodies += [comment["body"] for comment in page["comments"]]
        if not page["meta"]["has_more"]:
            break
        assert page["links"]["next"].endswith(page["meta"]["after_cursor"])
        query["page[after]"] = page["meta"]["after_cursor"]
    assert bodies == ["4", "3", "2", "1", "0"]
    page = client.get(f"{TICKET}/comments", params={"per_page": 2, "page": 2, "sort_order": "desc"}).json()
    assert [comment["body"] for comment in page["comments"]] == ["2", "1"]
    assert (page["count"], page["next_page"].rpartition("=")[2]) == (5, "3")


def test_users_and_groups_can_be_read(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake, name="Mira")
    assert client.get("/api/v2/users/me.json").json()["user"]["name"] == "Triage"
    assert client.get("/api/v2/users/844700001").json()["user"]["name"] == "Mira"
    assert client.get("/api/v2/users/9002").json()["user"]["name"] == "Ada Probe"
    assert client.get("/api/v2/users/1").status_code == 404
    for path in ("/api/v2/groups", "/api/v2/groups/assignable"):
        assert [group["name"] for group in client.get(path).json()["groups"]] == ["On-call", "Billing", "Support"]


@pytest.mark.parametrize("path", ["/api/v2/tickets/1", "/api/v2/tickets/1/comments", "/api/v2/nowhere", "/"])
def test_unknown_resources_are_404(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["description"]) == (404, "Not found")
    assert response.headers["X-Zendesk-Request-Id"].startswith("fake-")


# Writing.


def test_an_update_changes_only_its_own_fields_and_adds_one_audit(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    comment = {"html_body": "<p>Hi</p>", "public": True, "author_id": 9001}
    fields = [{"id": 27642, "value": "billing"}]
    response = update(
        client,
        group_id=98702,
        assignee_id=9002,
        priority="urgent",
        subject="New",
        tags=["Two words", "vip"],
        custom_fields=fields,
        comment=comment,
        metadata={"mark": "1"},
    ).json()
    ticket = response["ticket"]
    assert (ticket["group_id"], ticket["assignee_id"], ticket["priority"]) == (98702, 9002, "urgent")
    assert (ticket["subject"], ticket["tags"], ticket["status"]) == ("New", ["two", "words", "vip"], "open")
    assert ticket["custom_fields"] == [{"id": 27642, "value": "billing"}, {"id": 27648, "value": None}]
    assert response["audit"]["metadata"]["custom"] == {"mark": "1"}
    assert response["audit"]["events"][0] == {
        "id": int(fake.conversations["35001"].messages[-1].id),
        "type": "Comment",
        "public": True,
        "author_id": 9001,
        "body": "<p>Hi</p>",
    }, "a comment has the id of its event"
    assert client.get(f"{TICKET}/audits").json()["audits"] == [response["audit"]]
    assert fake.replies("35001") == ["<p>Hi</p>"]


def test_a_drop_down_field_drops_unknown_values_and_replaces_the_tag_of_its_option(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock, rate_limit=None, dropdowns={"27642": ["a", "b"], "5": ["c"]})
    open_conversation(fake)
    states: list[Any] = []
    for value in ("a", "title of b", "b", None):
        ticket = update(connect(fake), custom_fields=[{"id": 27642, "value": value}]).json()["ticket"]
        states.append((ticket["custom_fields"][0]["value"], ticket["tags"]))
    assert states == [("a", ["a"]), ("a", ["a"]), ("b", ["b"]), (None, [])]
    assert fake.fields == ("27642", "27648", "5")


def test_comments_of_a_light_agent_are_private(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    fake.light_agents.add("9001")
    response = update(client, comment={"html_body": "<p>Hi</p>", "public": True}).json()
    assert response["audit"]["events"][0]["public"] is False
    assert (fake.replies("35001"), fake.notes("35001")) == ([], ["<p>Hi</p>"])


def test_a_solved_ticket_has_an_assignee_and_a_time(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    assert client.get(f"{TICKET}/metrics").json()["ticket_metric"]["solved_at"] is None
    assert update(client, status="solved").json()["ticket"]["assignee_id"] == 9001
    assert client.get(f"{TICKET}/metrics").json()["ticket_metric"]["solved_at"] == "2026-11-24T09:00:00Z"


def test_updates_of_one_ticket_have_a_limit_of_their_own(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock)
    client = connect(fake)
    first, second = [fake.customer_writes("Hi").conversation_id for _ in range(2)]
    assert f"/api/v2/tickets/{first}" == TICKET
    responses = [update(client, priority="low") for _ in range(31)]
    header = "zendesk-ratelimit-per-ticket-updates"
    assert responses[0].headers[header] == "total=30; remaining=29; resets=600"
    assert (responses[-1].status_code, responses[-1].headers[header]) == (429, "total=30; remaining=0; resets=600")
    assert responses[-1].headers["Retry-After"] == "600"
    other = client.put(f"/api/v2/tickets/{second}", json={"ticket": {"priority": "low"}})
    assert other.status_code == 200


def test_a_closed_ticket_accepts_no_tags(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    fake.conversations["35001"].extra["status"] = "closed"
    assert client.put(f"{TICKET}/tags", json={"tags": ["x"]}).status_code == 422


def test_a_comment_is_public_by_default_if_the_first_one_is(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    update(client, comment={"body": "one  <b>two</b>\n\nthree"})
    assert fake.replies("35001") == ["<p>one two three</p>"], "HTML is stripped and white space collapses"
    fake.conversations["35001"].messages[0].role = "note"
    update(client, comment={"body": "hidden"})
    assert fake.notes("35001") == ["<p>hidden</p>"]
    fake.conversations["35001"].messages.clear()
    update(client, comment={"body": "shown"})
    assert fake.replies("35001") == ["<p>shown</p>"]


def test_placeholders_in_a_staff_members_comment_are_replaced(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake, email="mira@example.com")
    update(client, comment={"html_body": "{{ticket.requester.email}} {{unknown}}{% if x %}{{ ticket.id }}"})
    assert fake.replies("35001") == ["mira@example.com 35001"]


def test_a_very_long_comment_is_truncated_without_an_error(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    assert update(client, comment={"html_body": "é" * 40_000}).status_code == 200
    assert len(fake.replies("35001")[0]) == 32 * 1024


@pytest.mark.parametrize(
    ("ticket", "field"),
    [
        ({"group_id": "98702"}, "group_id"),
        ({"group_id": 1}, "group"),
        ({"assignee_id": 1}, "assignee"),
        ({"assignee_id": None}, "assignee_id"),
        ({"priority": "highest"}, "priority"),
        ({"status": "done"}, "status"),
        ({"tags": "a b"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"additional_tags": ["a"]}, "additional_tags"),
        ({"custom_fields": {"27642": "x"}}, "custom_fields"),
        ({"custom_fields": [{"id": 27642}]}, "custom_fields"),
        ({"custom_fields": [{"id": 1, "value": "x"}]}, "custom_fields"),
        ({"comment": "Hi"}, "comment"),
        ({"comment": {"plain_body": "Hi"}}, "plain_body"),
        ({"comment": {"body": "Hi", "author_id": 1}}, "assignee"),
        ({"comment": {"body": "Hi", "public": "yes"}}, "public"),
        ({"safe_update": "true"}, "safe_update"),
    ],
)
def test_an_invalid_update_changes_nothing(
    fake: FakeZendesk, client: httpx.Client, ticket: dict[str, Any], field: str
) -> None:
    open_conversation(fake)
    before = client.get(TICKET).json()
    response = update(client, **({"subject": "Changed"} | ticket))
    error = response.json()
    assert (response.status_code, error["error"], list(error["details"])) == (422, "RecordInvalid", [field])
    assert client.get(TICKET).json() == before


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"no JSON", b'{"ticket": 1}', b"{}", b""])
def test_a_body_without_a_ticket_is_rejected(fake: FakeZendesk, client: httpx.Client, body: bytes) -> None:
    open_conversation(fake)
    response = client.put(TICKET, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (400, "BadRequest")


def test_a_body_without_the_json_content_type_is_rejected(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    assert client.put(TICKET, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400


@pytest.mark.parametrize("safe", [True, False])
def test_a_safe_update_with_an_outdated_stamp_changes_nothing(
    fake: FakeZendesk, client: httpx.Client, safe: bool
) -> None:
    open_conversation(fake)
    stamp = client.get(TICKET).json()["ticket"]["updated_at"]
    assert update(client, subject="First", updated_stamp=stamp, safe_update=safe).status_code == 200
    response = update(client, subject="Second", updated_stamp=stamp, safe_update=safe)
    assert (response.status_code, response.json()["error"]) == (409, "UpdateConflict")
    assert client.put(f"{TICKET}/tags", json={"tags": ["x"], "updated_stamp": stamp, "safe_update": safe}).is_error
    assert fake.conversations["35001"].subject == "First"
    assert update(client, subject="Third", updated_stamp=stamp).status_code == 200, (
        "the stamp alone does not make an update safe"
    )


def test_a_closed_ticket_cannot_be_changed(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    assert update(client, status="closed").status_code == 200
    assert fake.conversations["35001"].state == "closed"
    for response in (update(client, status="open"), client.put(f"{TICKET}/mark_as_spam")):
        assert (response.status_code, list(response.json()["details"])) == (422, ["status"])


def test_tags_can_be_added_replaced_and_removed(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    assert client.put(f"{TICKET}/tags", json={"tags": ["a", "b"]}).json() == {"tags": ["a", "b"]}
    assert client.put(f"{TICKET}/tags", json={"tags": ["b", "c"]}).json() == {"tags": ["a", "b", "c"]}
    removal = client.request("DELETE", f"{TICKET}/tags", json={"tags": ["a"]})
    assert (removal.status_code, client.get(f"{TICKET}/tags").json()) == (204, {"tags": ["b", "c"]})
    replacement = client.post(f"{TICKET}/tags", json={"tags": ["d"]})
    assert (replacement.status_code, replacement.json()) == (201, {"tags": ["d"]})
    assert client.put(f"{TICKET}/tags", json={"tag": "x"}).status_code == 422


def test_marking_as_spam_deletes_the_ticket_and_suspends_the_customer(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    response = client.put(f"{TICKET}/mark_as_spam")
    assert (response.status_code, response.json()) == (200, "")
    assert client.get(TICKET).status_code == 404
    assert client.get("/api/v2/users/844700001").json()["user"]["suspended"]


def test_a_customers_comment_reopens_a_solved_ticket(fake: FakeZendesk, client: httpx.Client) -> None:
    open_conversation(fake)
    update(client, status="solved")
    assert (fake.status("35001"), fake.conversations["35001"].state) == ("solved", "closed")
    fake.customer_writes("Not yet", conversation="35001")
    assert (fake.status("35001"), fake.conversations["35001"].state) == ("open", "open")


# Rate limits.


def test_the_rate_limit_is_reported_and_enforced(clock: Clock) -> None:
    with connect(FakeZendesk(clock=clock, rate_limit=RateLimit(2, 60))) as client:
        responses = [client.get("/api/v2/groups") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["X-Rate-Limit-Remaining"] == "1"
    assert (responses[2].headers["ratelimit-reset"], responses[2].headers["Retry-After"]) == ("60", "60")


def test_a_ticket_accepts_thirty_updates_in_ten_minutes(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock, rate_limit=RateLimit(1000, 60))
    open_conversation(fake)
    with connect(fake) as client:
        statuses = [update(client, priority="low").status_code for _ in range(31)]
        assert statuses == [200] * 30 + [429]
        clock.now += 600
        assert update(client, priority="low").status_code == 200


def test_an_account_accepts_a_hundred_updates_a_minute(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock, rate_limit=RateLimit(1000, 60))
    ticket_ids = [fake.customer_writes("Hi").conversation_id for _ in range(101)]
    with connect(fake) as client:
        statuses = [
            client.put(f"/api/v2/tickets/{ticket_id}/tags", json={"tags": ["x"]}).status_code
            for ticket_id in ticket_ids
        ]
    assert statuses == [200] * 100 + [429]


def test_a_planned_failure_has_the_planned_headers(fake: FakeZendesk, client: httpx.Client) -> None:
    fake.fail(status=429, headers={"Retry-After": "93"}, skip=1)
    assert client.get("/api/v2/groups").status_code == 200
    response = client.get("/api/v2/groups")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "93")
    assert client.get("/api/v2/groups").status_code == 200


# Webhooks.


def test_events_have_the_documented_format(fake: FakeZendesk) -> None:
    payload = parse_body(fake.customer_writes("Hi", subject="Parcel"))
    assert (payload["type"], payload["subject"]) == ("zen:event-type:ticket.created", "zen:ticket:35001")
    assert payload["time"] == "2026-11-24T09:00:00.672717030Z"
    detail = payload["detail"]
    assert (detail["id"], detail["status"], detail["priority"], detail["description"]) == ("35001", "NEW", None, "Hi")
    assert detail["actor_id"] == detail["requester_id"] == "844700001"
    followup = parse_body(fake.customer_writes("More", conversation="35001"))
    assert followup["type"] == "zen:event-type:ticket.comment_added"
    assert followup["event"]["comment"]["author"] == {"id": "844700001", "is_staff": False, "name": "Mira Probe"}
    reply = parse_body(fake.agent_writes("Hi", conversation="35001", agent="9001"))
    assert reply["event"]["comment"]["author"] == {"id": "9001", "is_staff": True, "name": "Triage"}
    fake.conversations["35001"].priority = "low"
    assignment = parse_body(fake.assign("35001"))
    assert (assignment["detail"]["assignee_id"], assignment["detail"]["priority"]) == ("9002", "LOW")


def test_messaging_events_hold_only_the_ticket_id_and_the_message(fake: FakeZendesk) -> None:
    greeting = fake.bot_greets("Hello!")
    payload = parse_body(greeting)
    assert (payload["detail"], payload["event"]["actor"]["type"]) == ({"id": "35001"}, "system")
    message = parse_body(fake.customer_messages("Hi", conversation="35001"))["event"]
    assert (message["actor"]["type"], message["message"]["body"]) == ("end_user", "Hi")


def test_a_trigger_sends_the_recommended_body_with_its_placeholders_replaced(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock, connection="trigger")
    assert parse_body(fake.customer_writes('Hi "you"')) == {
        "ticket_id": "35001",
        "comment_id": fake.conversations["35001"].messages[0].id,
        "updated_at": "2026-11-24T09:00:00Z",
        "kind": "created",
        "actor_id": "844700001",
        "actor_role": "end-user",
        "requester_id": "844700001",
        "comment_public": "true",
        "comment_author_id": "844700001",
    }
    assert parse_body(fake.customer_writes("More", conversation="35001"))["kind"] == "replied"
    assert "{{ticket.id}}" in TRIGGER_BODY


def test_a_redelivery_gets_a_new_signature(fake: FakeZendesk, clock: Clock) -> None:
    first = fake.customer_writes("Hi")
    clock.now += 60
    again = fake.redeliver(first)
    assert again.body == first.body
    changes = {name for name in first.headers if first.headers[name] != again.headers[name]}
    assert changes == {"X-Zendesk-Webhook-Signature", "X-Zendesk-Webhook-Signature-Timestamp"}


def test_openssl_computes_the_same_signature(fake: FakeZendesk) -> None:
    webhook = fake.customer_writes("Größe 38 – 日本語 😀")
    stamp = webhook.headers["X-Zendesk-Webhook-Signature-Timestamp"]
    digest = compute_hmac("sha256", "fake-signing-secret", stamp.encode() + webhook.body)
    assert webhook.headers["X-Zendesk-Webhook-Signature"] == base64.b64encode(digest).decode()


def test_the_test_webhook_is_signed_with_the_public_secret(fake: FakeZendesk) -> None:
    webhook = fake.ping()
    stamp = webhook.headers["X-Zendesk-Webhook-Signature-Timestamp"]
    assert webhook.headers["X-Zendesk-Webhook-Signature"] == sign(webhook.body, PUBLIC_SECRET, stamp)


def test_every_kind_of_webhook_can_be_created(clock: Clock) -> None:
    for kind in get_args(WebhookKind):
        webhook = create_webhook("zendesk", kind, secret="mine", clock=clock, connection="events")
        stamp = webhook.headers["X-Zendesk-Webhook-Signature-Timestamp"]
        secret = PUBLIC_SECRET if kind == "ping" else "mine"
        assert webhook.headers["X-Zendesk-Webhook-Signature"] == sign(webhook.body, secret, stamp), kind


@pytest.mark.parametrize("ids", [{"users": {"ada": "Ada"}}, {"teams": {"a": "A"}}, {"fields": ["triage"]}])
def test_ids_must_be_numbers(ids: Any) -> None:
    with pytest.raises(ValueError, match="must be numbers"):
        FakeZendesk(**ids)


# The vendor's API description.


def test_every_response_matches_zendesks_api_description(fake: FakeZendesk) -> None:
    description = load_description("zendesk-support.yaml")
    open_conversation(fake, subject="Parcel", attachments=["a.txt"])
    calls: list[tuple[str, str, Any]] = [
        ("GET", TICKET, None),
        ("GET", f"{TICKET}/comments", None),
        ("PUT", TICKET, {"ticket": {"priority": "low", "comment": {"body": "Hi"}}}),
        ("PUT", f"{TICKET}/tags", {"tags": ["x"]}),
        ("POST", f"{TICKET}/tags", {"tags": ["x"]}),
        ("GET", f"{TICKET}/audits", None),
        ("GET", "/api/v2/groups", None),
        ("GET", "/api/v2/users/me", None),
        ("PUT", f"{TICKET}/mark_as_spam", None),
    ]
    authorization = encode_basic("staff-9001@example.com/token", "fake-api-token")
    with connect(fake, authorization) as client:
        for method, path, body in calls:
            check_exchange(description, client, method, path, body)
