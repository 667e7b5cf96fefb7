"""The fake Zendesk behaves as Zendesk's documentation says, whatever our adapter makes of it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_core.testing import MockRequest, MockResponse

from tests.helpers.desks.base import Clock
from tests.helpers.paths import SPECS
from triage.testing import FakeZendesk, RateLimit, Webhook, create_webhook
from triage.testing.desks.zendesk import PUBLIC_SECRET, TRIGGER_BODY, sign

GRANT = {"grant_type": "client_credentials", "client_id": "fake-client-id", "client_secret": "fake-client-secret"}
TICKET = "/api/v2/tickets/35001"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> FakeZendesk:
    return FakeZendesk(clock=clock, rate_limit=None)


@pytest.fixture
def api(fake: FakeZendesk) -> Iterator[httpx.Client]:
    with client(fake) as made:
        yield made


def client(fake: FakeZendesk, authorization: str = "Bearer fake-access-token") -> httpx.Client:
    headers = {"Authorization": authorization}
    return httpx.Client(transport=fake.transport, base_url="https://acme.zendesk.invalid", headers=headers)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def opened(fake: FakeZendesk, text: str = "Hi", **how: Any) -> str:
    conversation_id = fake.customer_writes(text, **how).conversation_id
    assert conversation_id == "35001"
    return conversation_id


def update(api: httpx.Client, **ticket: Any) -> httpx.Response:
    return api.put(TICKET, json={"ticket": ticket})


def told(webhook: Webhook) -> Any:
    return json.loads(webhook.body)


# Who is let in.


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer wrong",
        "fake-access-token",
        basic("staff-9001@example.com", "fake-api-token"),
        basic("staff-9001@example.com/token", "wrong"),
        basic("nobody@example.com/token", "fake-api-token"),
        "Basic !",
        "Basic /w==",
    ],
)
def test_wrong_credentials_are_refused(fake: FakeZendesk, authorization: str) -> None:
    with client(fake, authorization) as api:
        answer = api.get("/api/v2/users/me")
    assert (answer.status_code, answer.json()) == (401, {"error": "Couldn't authenticate you"})


def test_an_api_token_goes_with_any_users_address(fake: FakeZendesk) -> None:
    for user in ("9001", "9002"):
        with client(fake, basic(f"staff-{user}@example.com/token", "fake-api-token")) as api:
            assert api.get("/api/v2/users/me").json()["user"]["role"] == "agent"


def test_a_client_gets_a_token_for_a_while(fake: FakeZendesk, clock: Clock) -> None:
    with client(fake, "") as api:
        grant = api.post("/oauth/tokens", json=GRANT | {"expires_in": 300, "scope": "read write"}).json()
        assert (grant["token_type"], grant["expires_in"], grant["scope"]) == ("bearer", 300, "read write")
        headers = {"Authorization": f"Bearer {grant['access_token']}"}
        clock.now += 299
        assert api.get("/api/v2/users/me", headers=headers).status_code == 200
        clock.now += 1
        assert api.get("/api/v2/users/me", headers=headers).status_code == 401


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
def test_a_wrong_client_gets_none(fake: FakeZendesk, change: dict[str, Any], status: int, error: str) -> None:
    with client(fake, "") as api:
        answer = api.post("/oauth/tokens", json=GRANT | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_tokens_can_be_withdrawn(fake: FakeZendesk, api: httpx.Client) -> None:
    fake.withdraw_tokens()
    assert api.get("/api/v2/users/me").status_code == 401


# What can be read.


def test_a_ticket_holds_no_comments_and_its_path_may_end_in_json(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake, "Hi", subject="Parcel")
    for path in (TICKET, f"{TICKET}.json"):
        ticket = api.get(path).json()["ticket"]
        assert (ticket["id"], ticket["subject"], ticket["status"]) == (35001, "Parcel", "new")
        assert "comments" not in ticket


def test_comments_come_oldest_first_with_their_users_when_asked(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake, "One")
    fake.agent_writes("Two", conversation="35001")
    plain = api.get(f"{TICKET}/comments").json()
    assert [comment["plain_body"] for comment in plain["comments"]] == ["One", "Two"]
    assert "users" not in plain
    users = api.get(f"{TICKET}/comments", params={"include": "users"}).json()["users"]
    assert [user["role"] for user in users] == ["end-user", "agent"]


def test_comments_are_paged_by_cursor_and_by_offset(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake, "0")
    for number in range(1, 5):
        fake.customer_writes(str(number), conversation="35001")
    query: dict[str, Any] = {"page[size]": 2, "sort": "-created_at"}
    seen: list[str] = []
    while True:
        page = api.get(f"{TICKET}/comments", params=query).json()
        seen += [comment["body"] for comment in page["comments"]]
        if not page["meta"]["has_more"]:
            break
        assert page["links"]["next"].endswith(page["meta"]["after_cursor"])
        query["page[after]"] = page["meta"]["after_cursor"]
    assert seen == ["4", "3", "2", "1", "0"]
    page = api.get(f"{TICKET}/comments", params={"per_page": 2, "page": 2, "sort_order": "desc"}).json()
    assert [comment["body"] for comment in page["comments"]] == ["2", "1"]
    assert (page["count"], page["next_page"].rpartition("=")[2]) == (5, "3")


def test_people_and_groups_are_told(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake, name="Mira")
    assert api.get("/api/v2/users/me.json").json()["user"]["name"] == "Triage"
    assert api.get("/api/v2/users/844700001").json()["user"]["name"] == "Mira"
    assert api.get("/api/v2/users/9002").json()["user"]["name"] == "Ada Probe"
    assert api.get("/api/v2/users/1").status_code == 404
    for path in ("/api/v2/groups", "/api/v2/groups/assignable"):
        assert [group["name"] for group in api.get(path).json()["groups"]] == ["On-call", "Billing", "Support"]


@pytest.mark.parametrize("path", ["/api/v2/tickets/1", "/api/v2/tickets/1/comments", "/api/v2/nowhere", "/"])
def test_what_is_not_there_is_404(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()["description"]) == (404, "Not found")
    assert answer.headers["X-Zendesk-Request-Id"].startswith("fake-")


# What can be written.


def test_an_update_changes_what_it_names_and_makes_one_audit(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    comment = {"html_body": "<p>Hi</p>", "public": True, "author_id": 9001}
    fields = [{"id": 27642, "value": "billing"}]
    answer = update(
        api,
        group_id=98702,
        assignee_id=9002,
        priority="urgent",
        subject="New",
        tags=["Two words", "vip"],
        custom_fields=fields,
        comment=comment,
        metadata={"mark": "1"},
    ).json()
    ticket = answer["ticket"]
    assert (ticket["group_id"], ticket["assignee_id"], ticket["priority"]) == (98702, 9002, "urgent")
    assert (ticket["subject"], ticket["tags"], ticket["status"]) == ("New", ["two", "words", "vip"], "open")
    assert ticket["custom_fields"] == [{"id": 27642, "value": "billing"}, {"id": 27648, "value": None}]
    assert answer["audit"]["metadata"]["custom"] == {"mark": "1"}
    assert answer["audit"]["events"][0] | {"id": 0} == {
        "id": 0,
        "type": "Comment",
        "public": True,
        "body": "<p>Hi</p>",
    }
    assert api.get(f"{TICKET}/audits").json()["audits"] == [answer["audit"]]
    assert fake.replies("35001") == ["<p>Hi</p>"]


def test_whether_a_comment_is_public_depends_on_the_first_one(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    update(api, comment={"body": "one  <b>two</b>\n\nthree"})
    assert fake.replies("35001") == ["<p>one two three</p>"], "HTML is stripped, white space collapses"
    fake.conversations["35001"].messages[0].role = "note"
    update(api, comment={"body": "hidden"})
    assert fake.notes("35001") == ["<p>hidden</p>"]
    fake.conversations["35001"].messages.clear()
    update(api, comment={"body": "shown"})
    assert fake.replies("35001") == ["<p>shown</p>"]


def test_placeholders_in_a_staff_members_comment_are_filled_in(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake, email="mira@example.com")
    update(api, comment={"html_body": "{{ticket.requester.email}} {{unknown}}{% if x %}{{ ticket.id }}"})
    assert fake.replies("35001") == ["mira@example.com 35001"]


def test_a_very_long_comment_is_cut_without_an_error(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    assert update(api, comment={"html_body": "é" * 40_000}).status_code == 200
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
def test_a_wrong_update_is_refused_as_a_whole(
    fake: FakeZendesk, api: httpx.Client, ticket: dict[str, Any], field: str
) -> None:
    opened(fake)
    before = api.get(TICKET).json()
    answer = update(api, **({"subject": "changed"} | ticket))
    error = answer.json()
    assert (answer.status_code, error["error"], list(error["details"])) == (422, "RecordInvalid", [field])
    assert api.get(TICKET).json() == before


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"no JSON", b'{"ticket": 1}', b"{}", b""])
def test_a_body_that_is_no_ticket_is_refused(fake: FakeZendesk, api: httpx.Client, body: bytes) -> None:
    opened(fake)
    answer = api.put(TICKET, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "BadRequest")


def test_a_body_that_is_not_said_to_be_json_is_refused(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    assert api.put(TICKET, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400


@pytest.mark.parametrize("safe", [True, False])
def test_a_safe_update_with_an_old_stamp_changes_nothing(fake: FakeZendesk, api: httpx.Client, safe: bool) -> None:
    opened(fake)
    stamp = api.get(TICKET).json()["ticket"]["updated_at"]
    assert update(api, subject="First", updated_stamp=stamp, safe_update=safe).status_code == 200
    answer = update(api, subject="Second", updated_stamp=stamp, safe_update=safe)
    assert (answer.status_code, answer.json()["error"]) == (409, "UpdateConflict")
    assert api.put(f"{TICKET}/tags", json={"tags": ["x"], "updated_stamp": stamp, "safe_update": safe}).is_error
    assert fake.conversations["35001"].subject == "First"
    assert update(api, subject="Third", updated_stamp=stamp).status_code == 200, "the stamp alone is no safe update"


def test_a_closed_ticket_cannot_be_changed(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    assert update(api, status="closed").status_code == 200
    assert fake.conversations["35001"].state == "closed"
    for answer in (update(api, status="open"), api.put(f"{TICKET}/mark_as_spam")):
        assert (answer.status_code, list(answer.json()["details"])) == (422, ["status"])


def test_tags_are_added_replaced_and_taken_away(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    assert api.put(f"{TICKET}/tags", json={"tags": ["a", "b"]}).json() == {"tags": ["a", "b"]}
    assert api.put(f"{TICKET}/tags", json={"tags": ["b", "c"]}).json() == {"tags": ["a", "b", "c"]}
    removed = api.request("DELETE", f"{TICKET}/tags", json={"tags": ["a"]})
    assert (removed.status_code, api.get(f"{TICKET}/tags").json()) == (204, {"tags": ["b", "c"]})
    replaced = api.post(f"{TICKET}/tags", json={"tags": ["d"]})
    assert (replaced.status_code, replaced.json()) == (201, {"tags": ["d"]})
    assert api.put(f"{TICKET}/tags", json={"tag": "x"}).status_code == 422


def test_the_spam_mark_deletes_the_ticket_and_suspends_the_customer(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    answer = api.put(f"{TICKET}/mark_as_spam")
    assert (answer.status_code, answer.json()) == (200, "")
    assert api.get(TICKET).status_code == 404
    assert api.get("/api/v2/users/844700001").json()["user"]["suspended"]


def test_a_customers_comment_opens_a_solved_ticket(fake: FakeZendesk, api: httpx.Client) -> None:
    opened(fake)
    update(api, status="solved")
    assert (fake.status("35001"), fake.conversations["35001"].state) == ("solved", "closed")
    fake.customer_writes("Not yet", conversation="35001")
    assert (fake.status("35001"), fake.conversations["35001"].state) == ("open", "open")


# Limits.


def test_the_limit_is_told_and_enforced(clock: Clock) -> None:
    with client(FakeZendesk(clock=clock, rate_limit=RateLimit(2, 60))) as api:
        answers = [api.get("/api/v2/groups") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["X-Rate-Limit-Remaining"] == "1"
    assert (answers[2].headers["ratelimit-reset"], answers[2].headers["Retry-After"]) == ("60", "60")


def test_a_ticket_takes_thirty_updates_in_ten_minutes(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock, rate_limit=RateLimit(1000, 60))
    opened(fake)
    with client(fake) as api:
        statuses = [update(api, priority="low").status_code for _ in range(31)]
        assert statuses == [200] * 30 + [429]
        clock.now += 600
        assert update(api, priority="low").status_code == 200


def test_an_account_takes_a_hundred_updates_a_minute(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock, rate_limit=RateLimit(1000, 60))
    tickets = [fake.customer_writes("Hi").conversation_id for _ in range(101)]
    with client(fake) as api:
        statuses = [api.put(f"/api/v2/tickets/{one}/tags", json={"tags": ["x"]}).status_code for one in tickets]
    assert statuses == [200] * 100 + [429]


def test_a_failure_carries_the_headers_that_are_asked_for(fake: FakeZendesk, api: httpx.Client) -> None:
    fake.fail(status=429, headers={"Retry-After": "93"}, skip=1)
    assert api.get("/api/v2/groups").status_code == 200
    answer = api.get("/api/v2/groups")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "93")
    assert api.get("/api/v2/groups").status_code == 200


# Webhooks.


def test_an_event_looks_as_documented(fake: FakeZendesk) -> None:
    payload = told(fake.customer_writes("Hi", subject="Parcel"))
    assert (payload["type"], payload["subject"]) == ("zen:event-type:ticket.created", "zen:ticket:35001")
    assert payload["time"] == "2026-11-24T09:00:00.672717030Z"
    detail = payload["detail"]
    assert (detail["id"], detail["status"], detail["priority"], detail["description"]) == ("35001", "NEW", None, "Hi")
    assert detail["actor_id"] == detail["requester_id"] == "844700001"
    later = told(fake.customer_writes("More", conversation="35001"))
    assert later["type"] == "zen:event-type:ticket.comment_added"
    assert later["event"]["comment"]["author"] == {"id": "844700001", "is_staff": False, "name": "Mira Probe"}
    answered = told(fake.agent_writes("Hi", conversation="35001", agent="9001"))
    assert answered["event"]["comment"]["author"] == {"id": "9001", "is_staff": True, "name": "Triage"}
    fake.conversations["35001"].priority = "low"
    assigned = told(fake.assign("35001"))
    assert (assigned["detail"]["assignee_id"], assigned["detail"]["priority"]) == ("9002", "LOW")


def test_a_messenger_tells_the_ticket_and_the_message_only(fake: FakeZendesk) -> None:
    greeting = fake.bot_greets("Hello!")
    payload = told(greeting)
    assert (payload["detail"], payload["event"]["actor"]["type"]) == ({"id": "35001"}, "system")
    message = told(fake.customer_messages("Hi", conversation="35001"))["event"]
    assert (message["actor"]["type"], message["message"]["body"]) == ("end_user", "Hi")


def test_a_trigger_sends_the_documented_template_filled_in(clock: Clock) -> None:
    fake = FakeZendesk(clock=clock, connection="trigger")
    assert told(fake.customer_writes('Hi "you"')) == {
        "ticket_id": "35001",
        "updated_at": "2026-11-24T09:00:00Z",
        "kind": "created",
        "actor_id": "844700001",
        "actor_role": "end-user",
        "comment_public": "true",
        "comment_author_id": "844700001",
    }
    assert told(fake.customer_writes("More", conversation="35001"))["kind"] == "replied"
    assert "{{ticket.id}}" in TRIGGER_BODY


def test_a_repeated_delivery_is_signed_anew(fake: FakeZendesk, clock: Clock) -> None:
    first = fake.customer_writes("Hi")
    clock.now += 60
    again = fake.redeliver(first)
    assert again.body == first.body
    changed = {name for name in first.headers if first.headers[name] != again.headers[name]}
    assert changed == {"X-Zendesk-Webhook-Signature", "X-Zendesk-Webhook-Signature-Timestamp"}


def test_a_test_is_signed_with_the_public_secret(fake: FakeZendesk) -> None:
    webhook = fake.ping()
    stamp = webhook.headers["X-Zendesk-Webhook-Signature-Timestamp"]
    assert webhook.headers["X-Zendesk-Webhook-Signature"] == sign(webhook.body, PUBLIC_SECRET, stamp)


@pytest.mark.parametrize("kind", ["created", "replied", "agent_replied", "assigned", "bot", "ping"])
def test_signed_webhooks_are_made_of_every_kind(kind: Any, clock: Clock) -> None:
    webhook = create_webhook("zendesk", kind, secret="mine", clock=clock, connection="events")
    stamp = webhook.headers["X-Zendesk-Webhook-Signature-Timestamp"]
    secret = PUBLIC_SECRET if kind == "ping" else "mine"
    assert webhook.headers["X-Zendesk-Webhook-Signature"] == sign(webhook.body, secret, stamp)


@pytest.mark.parametrize("wrong", [{"users": {"ada": "Ada"}}, {"teams": {"a": "A"}}, {"fields": ["triage"]}])
def test_ids_are_numbers(wrong: Any) -> None:
    with pytest.raises(ValueError, match="must be numbers"):
        FakeZendesk(**wrong)


# The vendor's own description.


def test_every_answer_fits_zendesks_description(fake: FakeZendesk) -> None:
    described = load_description("zendesk-support.yaml")
    opened(fake, subject="Parcel", attachments=["a.txt"])
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
    authorization = basic("staff-9001@example.com/token", "fake-api-token")
    with client(fake, authorization) as api:
        for method, path, body in calls:
            got = api.request(method, path, json=body)
            request = MockRequest(
                "https://acme.zendesk.com",
                method.lower(),
                path,
                headers={"Authorization": authorization},
                data=json.dumps(body).encode() if body else b"",
                content_type="application/json",
            )
            described.validate_request(request)
            content = json.dumps(filled(got.json())).encode()
            described.validate_response(request, MockResponse(content, got.status_code, dict(got.headers)))


def filled(value: Any) -> Any:
    """Without what is null: the description does not tell what may be, and the vendor's own examples are."""
    if isinstance(value, dict):
        return {name: filled(one) for name, one in value.items() if one is not None}
    return [filled(one) for one in value] if isinstance(value, list) else value
