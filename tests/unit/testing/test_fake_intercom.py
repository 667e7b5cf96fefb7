"""The fake Intercom behaves as Intercom's documentation says, independently of the adapter."""

import functools
import hmac
import json
import uuid
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest

from tests.helpers.desks.base import Clock
from tests.helpers.specs import load_description, load_document
from tests.unit.testing.helpers import open_conversation, parse_body
from triage.testing import FakeIntercom, Webhook, WebhookKind, create_webhook
from triage.testing.desks.intercom import Version, sign

VERSIONS: tuple[Version, ...] = get_args(Version)
NOW = 1_795_510_800

COMMENT = {"message_type": "comment", "type": "admin", "admin_id": "99999", "body": "<p>Hello</p>"}
NOTE = COMMENT | {"message_type": "note", "body": "<p>Inside</p>"}
QUICK = {
    "message_type": "quick_reply",
    "type": "admin",
    "admin_id": "99999",
    "reply_options": [{"text": "Yes", "uuid": "a5e1c524-5ddd-4c3e-9328-6bca5d6e3edb"}],
}
TO_TEAM = {"message_type": "assignment", "type": "team", "admin_id": "99999", "assignee_id": "67890"}
TO_ADMIN = TO_TEAM | {"type": "admin", "assignee_id": "88888"}
CLOSE = {"message_type": "close", "type": "admin", "admin_id": "99999"}
OPEN = {"message_type": "open", "admin_id": "99999"}
SNOOZE = {"message_type": "snoozed", "admin_id": "99999", "snoozed_until": NOW + 3600}


@pytest.fixture
def fake(clock: Clock) -> FakeIntercom:
    return FakeIntercom(clock=clock)


@pytest.fixture
def client(fake: FakeIntercom) -> Iterator[httpx.Client]:
    with connect(fake) as http_client:
        yield http_client


def connect(fake: FakeIntercom, **headers: str) -> httpx.Client:
    authorization = {"Authorization": "Bearer fake-access-token"}
    return httpx.Client(
        transport=fake.transport, base_url="https://api.intercom.invalid", headers=authorization | headers
    )


def get_item(webhook: Webhook) -> Any:
    return json.loads(webhook.body)["data"]["item"]


def get_topic(webhook: Webhook) -> Any:
    return json.loads(webhook.body)["topic"]


def has_error(response: httpx.Response, status: int, code: str, field: str | None = None) -> bool:
    body = response.json()
    uuid.UUID(body["request_id"])
    error = body["errors"][0]
    return (response.status_code, body["type"], error["code"], error.get("field")) == (
        status,
        "error.list",
        code,
        field,
    )


# Authentication.


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer wrong"}, {"Authorization": ""}])
def test_a_wrong_token_is_unauthorized(fake: FakeIntercom, headers: dict[str, str]) -> None:
    with connect(fake, **headers) as client:
        assert has_error(client.get("/me"), 401, "unauthorized")


def test_an_unknown_version_is_rejected(fake: FakeIntercom) -> None:
    with connect(fake, **{"Intercom-Version": "3.0"}) as client:
        assert has_error(client.get("/me"), 400, "intercom_version_invalid")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("PATCH", "/me"), ("GET", "/conversations/1/reply"), ("GET", "/me/")]
)
def test_an_unknown_path_or_method_is_not_found(client: httpx.Client, method: str, path: str) -> None:
    assert has_error(client.request(method, path), 404, "not_found")


# The workspace.


def test_me_is_the_first_teammate_and_includes_the_workspace(client: httpx.Client) -> None:
    me = client.get("/me").json()
    assert (me["id"], me["app"]["id_code"], me["app"]["region"]) == ("99999", "abc123de", "US")


def test_ids_of_teammates_and_teams_are_strings(client: httpx.Client) -> None:
    admins, teams = client.get("/admins").json(), client.get("/teams").json()
    assert [(admin["id"], admin["has_inbox_seat"]) for admin in admins["admins"]] == [("99999", True), ("88888", True)]
    assert {team["id"]: team["name"] for team in teams["teams"]} == {
        "12345": "On-call",
        "67890": "Billing",
        "11111": "Support",
    }


def test_a_tag_is_created_only_once(client: httpx.Client) -> None:
    assert client.get("/tags").json()["data"] == []
    tag = client.post("/tags", json={"name": "billing"}).json()
    assert client.post("/tags", json={"name": "billing"}).json() == tag
    assert client.get("/tags").json() == {"type": "list", "data": [tag]}
    assert has_error(client.post("/tags", json={}), 400, "parameter_missing", "name")


def test_ids_must_be_numbers() -> None:
    with pytest.raises(ValueError, match="numbers"):
        FakeIntercom(users={"me": "Ada Probe"})


def test_settings_and_environment_configure_the_adapter(fake: FakeIntercom) -> None:
    assert fake.settings("http://127.0.0.1:1") == {
        "client_secret": "fake-client-secret",
        "access_token": "fake-access-token",
        "admin_id": "99999",
        "workspace_id": "abc123de",
        "base_url": "http://127.0.0.1:1",
    }
    assert fake.env() == {
        "INTERCOM_CLIENT_SECRET": "fake-client-secret",
        "INTERCOM_ACCESS_TOKEN": "fake-access-token",
        "INTERCOM_ADMIN_ID": "99999",
        "INTERCOM_WORKSPACE_ID": "abc123de",
        "INTERCOM_BASE_URL": "https://helpdesk.invalid",
        "INTERCOM_TEAM_ONCALL": "12345",
        "INTERCOM_TEAM_BILLING": "67890",
        "INTERCOM_TEAM_SUPPORT": "11111",
    }


# Request bodies.


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"[]", "application/json"),
        (b"", "application/json"),
        (json.dumps(COMMENT).encode(), "text/plain"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_rejected(
    fake: FakeIntercom, client: httpx.Client, content: bytes, content_type: str
) -> None:
    path = f"/conversations/{open_conversation(fake)}/reply"
    response = client.post(path, content=content, headers={"Content-Type": content_type})
    assert has_error(response, 400, "parameter_invalid")


ACCEPTED = [
    ("POST", "reply", COMMENT),
    ("POST", "reply", COMMENT | {"created_at": NOW, "attachment_urls": ["https://example.com/a.png"]}),
    ("POST", "reply", NOTE),
    ("POST", "parts", TO_TEAM),
    ("POST", "parts", TO_ADMIN),
    ("POST", "parts", TO_TEAM | {"assignee_id": "0"}),
    ("POST", "parts", CLOSE),
    ("POST", "parts", CLOSE | {"body": "Goodbye"}),
    ("POST", "parts", OPEN),
    ("POST", "parts", SNOOZE),
    ("POST", "tags", {"id": "7520001", "admin_id": "99999"}),
    ("PUT", "", {"custom_attributes": {"triage": "billing"}}),
    ("PUT", "", {"read": True, "title": "Refund"}),
]

WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("reply", COMMENT),
    ("parts", TO_TEAM),
    ("parts", CLOSE),
    ("parts", OPEN),
    ("parts", SNOOZE),
    ("tags", {"id": "7520001", "admin_id": "99999"}),
]
MISSING = [
    ("POST", kind, {name: value for name, value in body.items() if name != omitted}, omitted)
    for kind, body in WHOLE
    for omitted in body
    # For comments and notes the documentation requires the body, the schema does not.
    if omitted != "body"
]

INVALID = [
    ("POST", "reply", COMMENT | {"admin_id": 99999}, "admin_id"),
    ("POST", "reply", COMMENT | {"message_type": "shout"}, "message_type"),
    ("POST", "reply", COMMENT | {"type": "robot"}, "type"),
    ("POST", "reply", COMMENT | {"body": ["Hello"]}, "body"),
    ("POST", "reply", COMMENT | {"created_at": "now"}, "created_at"),
    ("POST", "parts", TO_TEAM | {"assignee_id": 67890}, "assignee_id"),
    ("POST", "parts", TO_TEAM | {"type": "teams"}, "type"),
    ("POST", "parts", CLOSE | {"admin_id": 99999}, "admin_id"),
    ("POST", "parts", SNOOZE | {"snoozed_until": str(NOW)}, "snoozed_until"),
    ("POST", "parts", SNOOZE | {"snoozed_until": True}, "snoozed_until"),
    ("POST", "tags", {"id": 7520001, "admin_id": "99999"}, "id"),
    ("PUT", "", {"read": "yes"}, "read"),
    ("PUT", "", {"custom_attributes": ["triage"]}, "custom_attributes"),
]


def load_schemas(version: str) -> Any:
    return load_document(f"intercom-{version}.yaml")["components"]["schemas"]


def matches_description(version: str, method: str, path: str, body: Any) -> bool:
    request = MockRequest(
        "https://api.intercom.io",
        method.lower(),
        path,
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer x", "Intercom-Version": version},
        content_type="application/json",
    )
    try:
        load_description(f"intercom-{version}.yaml").validate_request(request)
    except OpenAPIError:
        return False
    return True


def create_path(fake: FakeIntercom, client: httpx.Client, part: str) -> str:
    client.post("/tags", json={"name": "billing"})
    fake.tags["billing"] = "7520001"
    return f"/conversations/{open_conversation(fake)}/{part}".rstrip("/")


@pytest.mark.parametrize(("method", "part", "body"), ACCEPTED)
def test_documented_bodies_are_accepted(
    fake: FakeIntercom, client: httpx.Client, method: str, part: str, body: Any
) -> None:
    assert client.request(method, create_path(fake, client, part), json=body).status_code == 200


@pytest.mark.parametrize(
    ("method", "part", "body", "field"), [*MISSING, ("POST", "reply", COMMENT | {"body": ""}, "body")]
)
def test_a_missing_field_is_named(
    fake: FakeIntercom, client: httpx.Client, method: str, part: str, body: Any, field: str
) -> None:
    response = client.request(method, create_path(fake, client, part), json=body)
    assert has_error(response, 400, "parameter_missing", field)


@pytest.mark.parametrize(("method", "part", "body", "field"), INVALID)
def test_an_invalid_field_is_named(
    fake: FakeIntercom, client: httpx.Client, method: str, part: str, body: Any, field: str
) -> None:
    response = client.request(method, create_path(fake, client, part), json=body)
    assert has_error(response, 400, "parameter_invalid", field)


@pytest.mark.parametrize("version", ["2.13", "2.16"])
def test_the_vendors_api_description_accepts_and_rejects_the_same_bodies(version: str) -> None:
    for method, part, body in ACCEPTED:
        assert matches_description(version, method, f"/conversations/5/{part}".rstrip("/"), body), (part, body)
    for method, part, body, _ in [*MISSING, *INVALID]:
        assert not matches_description(version, method, f"/conversations/5/{part}".rstrip("/"), body), (part, body)


def test_quick_replies_need_version_2_14(fake: FakeIntercom) -> None:
    path = f"/conversations/{open_conversation(fake)}/reply"
    with connect(fake, **{"Intercom-Version": "2.13"}) as client:
        assert has_error(client.post(path, json=QUICK), 400, "parameter_invalid", "message_type")
    with connect(fake, **{"Intercom-Version": "2.14"}) as client:
        part = client.post(path, json=QUICK).json()["conversation_parts"]["conversation_parts"][0]
    assert (part["part_type"], part["body"]) == ("quick_reply", None)


# Changes of a conversation.


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"read": True}),
        ("POST", "/reply", COMMENT),
        ("POST", "/parts", CLOSE),
        ("POST", "/tags", {"id": "1", "admin_id": "99999"}),
        ("DELETE", "/tags/1", {"admin_id": "99999"}),
    ],
)
def test_an_unknown_conversation_is_not_found(client: httpx.Client, method: str, path: str, body: Any) -> None:
    assert has_error(client.request(method, f"/conversations/404{path}", json=body), 404, "not_found")


@pytest.mark.parametrize(
    ("part", "body", "code"),
    [
        ("reply", COMMENT | {"admin_id": "67890"}, "admin_not_found"),
        ("parts", TO_TEAM | {"admin_id": "67890"}, "admin_not_found"),
        ("parts", TO_TEAM | {"assignee_id": "88888"}, "team_not_found"),
        ("parts", TO_ADMIN | {"assignee_id": "67890"}, "admin_not_found"),
        ("tags", {"id": "1", "admin_id": "99999"}, "not_found"),
    ],
)
def test_admins_assignees_and_tags_must_exist(
    fake: FakeIntercom, client: httpx.Client, part: str, body: Any, code: str
) -> None:
    assert has_error(client.post(f"/conversations/{open_conversation(fake)}/{part}", json=body), 404, code)


def test_a_reply_reaches_the_customer_and_a_note_does_not(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake, "First")
    client.post(f"/conversations/{conversation_id}/reply", json=COMMENT | {"body": "bare text"})
    response = client.post(f"/conversations/{conversation_id}/reply", json=NOTE).json()
    assert fake.replies(conversation_id) == ["<p>bare text</p>"]
    assert fake.notes(conversation_id) == ["<p>Inside</p>"]
    assert response["teammates"]["teammates"] == [{"type": "admin", "id": "99999"}]
    parts = response["conversation_parts"]  # only the new part
    assert parts["total_count"] == 1
    assert (parts["conversation_parts"][0]["part_type"], parts["conversation_parts"][0]["author"]["id"]) == (
        "note",
        "99999",
    )


def test_a_humans_reply_is_not_a_reply_of_the_api(fake: FakeIntercom) -> None:
    conversation_id = open_conversation(fake)
    webhook = fake.agent_writes("A human was here", conversation=conversation_id)
    assert fake.replies(conversation_id) == []
    part = get_item(webhook)["conversation_parts"]["conversation_parts"][0]
    assert (get_topic(webhook), part["author"]["type"], part["author"]["id"], part["body"]) == (
        "conversation.admin.replied",
        "admin",
        "88888",
        "A human was here",
    )


def test_a_conversation_can_have_a_team_and_a_teammate(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    path = f"/conversations/{conversation_id}/parts"
    client.post(path, json=TO_TEAM)
    response = client.post(path, json=TO_ADMIN).json()
    assert (response["team_assignee_id"], response["admin_assignee_id"]) == (67890, 88888)  # integers in responses
    part = response["conversation_parts"]["conversation_parts"][0]
    assert (part["part_type"], part["assigned_to"]) == ("assignment", {"type": "admin", "id": "88888"})
    conversation = fake.conversations[conversation_id]
    assert (conversation.team, conversation.assignee) == ("67890", "88888")


@pytest.mark.parametrize(("version", "nobody"), [("2.13", None), ("2.15", None), ("2.16", 0), ("2.17", 0)])
def test_the_version_decides_whether_nobody_is_null_or_zero(
    fake: FakeIntercom, version: str, nobody: int | None
) -> None:
    path = f"/conversations/{open_conversation(fake)}/parts"
    with connect(fake, **{"Intercom-Version": version}) as client:
        client.post(path, json=TO_ADMIN)
        response = client.post(path, json=TO_ADMIN | {"assignee_id": "0"}).json()
    assert (response["team_assignee_id"], response["admin_assignee_id"]) == (nobody, nobody)
    part = response["conversation_parts"]["conversation_parts"][0]
    assert part["assigned_to"] == {"type": "nobody_admin", "id": None}


def test_assigning_a_closed_conversation_reopens_it(fake: FakeIntercom, client: httpx.Client) -> None:
    path = f"/conversations/{open_conversation(fake)}/parts"
    closed = client.post(path, json=CLOSE).json()
    assert (closed["open"], closed["state"]) == (False, "closed")
    assigned = client.post(path, json=TO_TEAM).json()
    assert (assigned["open"], assigned["state"]) == (True, "open")
    assert assigned["conversation_parts"]["conversation_parts"][0]["part_type"] == "assign_and_reopen"


def test_the_customer_sees_the_body_of_a_close(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    client.post(f"/conversations/{conversation_id}/parts", json=CLOSE | {"body": "Goodbye :)"})
    assert fake.replies(conversation_id) == ["<p>Goodbye :)</p>"]


def test_a_snoozed_conversation_is_open_until_a_given_time(fake: FakeIntercom, client: httpx.Client) -> None:
    path = f"/conversations/{open_conversation(fake)}/parts"
    snoozed = client.post(path, json=SNOOZE).json()
    assert (snoozed["open"], snoozed["state"], snoozed["snoozed_until"]) == (True, "snoozed", NOW + 3600)
    woken = client.post(path, json=OPEN).json()
    assert (woken["open"], woken["state"], woken["snoozed_until"]) == (True, "open", None)


def test_fields_of_other_kinds_of_parts_are_ignored(fake: FakeIntercom, client: httpx.Client) -> None:
    path = f"/conversations/{open_conversation(fake)}/parts"
    reopened = client.post(path, json=OPEN | {"body": ["no text"], "snoozed_until": NOW}).json()
    assert (reopened["state"], reopened["snoozed_until"]) == ("open", None)


def test_a_tag_is_attached_and_detached_by_id(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    path = f"/conversations/{conversation_id}/tags"
    client.post("/tags", json={"name": "other"})
    tag = client.post("/tags", json={"name": "billing"}).json()
    client.post(path, json={"id": tag["id"], "admin_id": "99999"})
    attached = client.post(path, json={"id": tag["id"], "admin_id": "99999"}).json()
    assert attached == tag | {"applied_at": NOW, "applied_by": {"type": "admin", "id": "99999"}}
    assert fake.conversations[conversation_id].tags == ["billing"]
    assert client.get(f"/conversations/{conversation_id}").json()["tags"]["tags"] == [attached]
    detach = functools.partial(client.request, "DELETE", f"{path}/{tag['id']}", json={"admin_id": "99999"})
    assert detach().json()["name"] == "billing"
    assert fake.conversations[conversation_id].tags == []
    assert has_error(detach(), 404, "not_found")


def test_a_tag_that_a_test_adds_gets_an_id(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    fake.conversations[conversation_id].tags.append("vip")
    shown = client.get(f"/conversations/{conversation_id}").json()["tags"]["tags"]
    assert shown == [{"type": "tag", "id": fake.tags["vip"], "name": "vip"}]


def test_attribute_changes_are_attributed_to_the_bot(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    path = f"/conversations/{conversation_id}"
    response = client.put(path, json={"custom_attributes": {"triage": "billing", "score": 7}, "title": "Refund"}).json()
    assert response["custom_attributes"] == {"triage": "billing", "score": 7}
    assert fake.conversations[conversation_id].fields == {"triage": "billing", "score": 7}
    assert (response["title"], response["read"]) == ("Refund", False)
    parts = response["conversation_parts"]["conversation_parts"]
    assert [(part["part_type"], part["author"]["type"]) for part in parts] == [
        ("conversation_attribute_updated_by_admin", "bot")
    ] * 2


def test_priority_cannot_be_set(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    response = client.put(f"/conversations/{conversation_id}", json={"priority": "urgent"}).json()
    assert response["priority"] == "none"


# Reading.


@pytest.mark.parametrize(
    ("version", "priority", "shown"),
    [
        ("2.13", "none", "not_priority"),
        ("2.15", "low", "not_priority"),
        ("2.15", "urgent", "priority"),
        ("2.16", "none", "none"),
        ("2.16", "urgent", "urgent"),
    ],
)
def test_the_version_decides_whether_priorities_have_two_or_five_values(
    fake: FakeIntercom, version: str, priority: str, shown: str
) -> None:
    conversation_id = open_conversation(fake)
    fake.conversations[conversation_id].priority = priority
    with connect(fake, **{"Intercom-Version": version}) as client:
        assert client.get(f"/conversations/{conversation_id}").json()["priority"] == shown


def test_text_is_html_unless_the_call_asks_for_plain_text(fake: FakeIntercom, client: httpx.Client) -> None:
    markup = '<p>See <a href="https://example.com/x">the page</a> &amp; tell</p><ul><li>one</li><li>two</li></ul>'
    conversation_id = open_conversation(fake, markup, html=True, subject="R & D")
    fake.customer_writes("1 < 2", conversation=conversation_id)
    path = f"/conversations/{conversation_id}"
    rich, plain = client.get(path).json(), client.get(path, params={"display_as": "plaintext"}).json()
    assert (rich["source"]["body"], rich["source"]["subject"]) == (markup, "<p>R &amp; D</p>")
    assert rich["conversation_parts"]["conversation_parts"][0]["body"] == "<p>1 &lt; 2</p>"
    assert plain["source"]["body"] == "See the page (https://example.com/x) & tell\n\none\n\ntwo"
    assert (plain["source"]["subject"], plain["source"]["type"]) == ("R & D", "email")
    assert plain["conversation_parts"]["conversation_parts"][0]["body"] == "1 < 2"


def test_only_the_500_latest_parts_are_returned(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    for number in range(501):
        fake.customer_writes(str(number), conversation=conversation_id)
    shown = client.get(f"/conversations/{conversation_id}").json()["conversation_parts"]
    assert (len(shown["conversation_parts"]), shown["total_count"]) == (500, 500)
    assert shown["conversation_parts"][0]["body"] == "<p>1</p>"


def test_statistics_report_when_customers_and_admins_acted(
    fake: FakeIntercom, client: httpx.Client, clock: Clock
) -> None:
    conversation_id = open_conversation(fake)
    path = f"/conversations/{conversation_id}"
    clock.now += 10
    fake.customer_writes("Anybody?", conversation=conversation_id)
    assert client.get(path).json()["waiting_since"] == NOW
    clock.now += 10
    answered = client.post(f"{path}/reply", json=COMMENT).json()
    assert (answered["waiting_since"], answered["updated_at"]) == (None, NOW + 20)
    client.post(f"{path}/parts", json=TO_TEAM)
    statistics = client.post(f"{path}/parts", json=CLOSE).json()["statistics"]
    assert {name: value for name, value in statistics.items() if name.endswith("_at") and value} == {
        "first_contact_reply_at": NOW,
        "last_contact_reply_at": NOW + 10,
        "first_admin_reply_at": NOW + 20,
        "last_admin_reply_at": NOW + 20,
        "first_assignment_at": NOW + 20,
        "last_assignment_at": NOW + 20,
        "first_close_at": NOW + 20,
        "last_close_at": NOW + 20,
    }
    assert (statistics["last_closed_by_id"], statistics["count_assignments"]) == ("99999", 1)


NEWER = {
    "2.14": set[str](),
    "2.15": {"company"},
    "2.16": {"company", "channel", "sales_agent_participated", "sales_agent", "external_references"},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_newer_versions_have_more_fields(fake: FakeIntercom, version: str) -> None:
    path = f"/conversations/{open_conversation(fake)}"
    with connect(fake, **{"Intercom-Version": "2.13"}) as client:
        old = client.get(path).json()
    with connect(fake, **{"Intercom-Version": version}) as client:
        new = client.get(path).json()
    assert set(new) - set(old) == NEWER.get(version, set())
    assert ("from_ai_agent" in new["source"]["author"]) is (version != "2.13")
    assert ("recipients" in new["source"]) is (version == "2.16")


@pytest.mark.parametrize("version", ["2.13", "2.16"])
def test_all_fields_are_in_the_vendors_schema(version: Version) -> None:
    schemas = load_schemas(version)
    fake = FakeIntercom(api_version=version)
    conversation_id = open_conversation(fake)
    with connect(fake) as client:
        shown = client.post(f"/conversations/{conversation_id}/reply", json=COMMENT).json()
    # The schema lacks these three fields, which the examples have.
    assert set(shown) - set(schemas["conversation"]["properties"]) <= {"topics", "ticket", "custom_attributes"}
    assert set(shown["source"]) <= set(schemas["conversation_source"]["properties"])
    part = shown["conversation_parts"]["conversation_parts"][0]
    assert set(part) - set(schemas["conversation_part"]["properties"]) <= {"metadata"}
    assert set(part["author"]) <= set(schemas["conversation_part_author"]["properties"])
    assert set(shown["statistics"]) == set(schemas["conversation_statistics"]["properties"])


# Webhooks.


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_of_the_app_determines_the_format_of_webhooks(version: Version, clock: Clock) -> None:
    fake = FakeIntercom(api_version=version, clock=clock)
    webhook = fake.customer_writes("1 < 2", subject="R & D")
    notification, shown = json.loads(webhook.body), get_item(webhook)
    old = version in ("2.13", "2.14")
    assert (notification["type"], notification["app_id"]) == ("notification_event", "abc123de")
    assert (notification["topic"], notification["delivery_attempts"]) == ("conversation.user.created", 1)
    assert notification["id"].startswith("notif_")
    assert shown["source"]["body"] == ("<p>1 &lt; 2</p>" if old else "1 < 2")
    assert shown["source"]["subject"] == ("<p>R &amp; D</p>" if old else "R & D")
    at = "2026-11-24T09:00:00.000Z" if old else NOW
    assert shown["statistics"]["last_contact_reply_at"] == at
    assert shown["statistics"]["last_close_at"] is None
    assert shown["admin_assignee_id"] == (0 if version == "2.16" else None)
    assert shown["conversation_parts"]["total_count"] == 0
    assert shown["source"]["delivered_as"] == "customer_initiated"


def test_a_webhook_is_signed_with_the_client_secret() -> None:
    webhook = FakeIntercom(client_secret="other").customer_writes("Grüße")
    digest = hmac.digest(b"other", webhook.body, "sha1")
    assert webhook.headers["X-Hub-Signature"] == f"sha1={digest.hex()}"
    assert webhook.headers["Content-Type"] == "application/json"


def test_the_webhook_for_a_reply_holds_only_the_new_part(fake: FakeIntercom) -> None:
    conversation_id = open_conversation(fake, "First", name="Mira", email=None)
    fake.customer_writes("Second", conversation=conversation_id)
    webhook = fake.customer_writes("Third", conversation=conversation_id, attachments=["a.pdf", "blob"])
    shown = get_item(webhook)
    part = shown["conversation_parts"]["conversation_parts"][0]
    assert get_topic(webhook) == "conversation.user.replied"
    assert (shown["source"]["body"], shown["conversation_parts"]["total_count"]) == ("First", 1)
    assert (part["body"], part["part_type"], part["author"]["type"]) == ("Third", "comment", "user")
    assert (part["author"]["name"], part["author"]["email"]) == ("Mira", None)
    assert [(file["name"], file["content_type"]) for file in part["attachments"]] == [
        ("a.pdf", "application/pdf"),
        ("blob", "application/octet-stream"),
    ]


def test_the_part_that_reopens_a_closed_conversation_holds_the_customers_text(fake: FakeIntercom) -> None:
    conversation_id = open_conversation(fake)
    fake.conversations[conversation_id].state = "closed"
    shown = get_item(fake.customer_writes("Still broken", conversation=conversation_id))
    part = shown["conversation_parts"]["conversation_parts"][0]
    assert (shown["state"], part["part_type"], part["body"]) == ("open", "open", "Still broken")


@pytest.mark.parametrize(
    ("version", "expected_topic"), [("2.13", "conversation.admin.replied"), ("2.14", "conversation.operator.replied")]
)
def test_the_customers_first_message_after_a_bots_greeting_is_a_reply(version: Version, expected_topic: str) -> None:
    fake = FakeIntercom(api_version=version)
    greeting = fake.bot_greets()
    assert get_topic(greeting) == expected_topic
    assert get_item(greeting)["source"]["author"]["type"] == "bot"
    assert get_item(greeting)["first_contact_reply"] is None
    reply = fake.customer_writes("My card was refused", conversation=greeting.conversation_id)
    assert get_topic(reply) == "conversation.user.replied"
    assert get_item(reply)["source"]["delivered_as"] == "operator_initiated"
    assert get_item(reply)["first_contact_reply"]["type"] == "conversation"


def test_a_human_can_take_a_conversation(fake: FakeIntercom) -> None:
    conversation_id = open_conversation(fake)
    webhook = fake.assign(conversation_id)
    assert get_topic(webhook) == "conversation.admin.assigned"
    assert get_item(webhook)["admin_assignee_id"] == 88888
    fake.assign(conversation_id, "99999")
    assert fake.conversations[conversation_id].assignee == "99999"


def test_a_ping_has_no_id(fake: FakeIntercom) -> None:
    webhook = fake.ping()
    assert (get_topic(webhook), json.loads(webhook.body)["id"], get_item(webhook)["type"]) == ("ping", None, "ping")
    assert webhook.conversation_id is None


def test_a_redelivery_repeats_the_notification(fake: FakeIntercom) -> None:
    first = fake.customer_writes("Hi")
    again = fake.redeliver(first)
    assert parse_body(again) == parse_body(first) | {"delivery_attempts": 2}
    assert again.headers["X-Hub-Signature"] == sign(again.body, "fake-client-secret")


BODY_B = (
    '{"type":"notification_event","app_id":"abc123de","id":"notif_11111111-2222-4333-8444-555555555555",'
    '"topic":"conversation.user.created","data":{"type":"notification_event_data","item":{"type":"conversation",'
    '"id":"215470000000001","source":{"body":"<p>Grüße aus Köln \u2013 Rechnung 42 € ☕ 支払い</p>"}}}}'
)
BODY_A = (
    '{"type":"notification_event","app_id":"abc123de","data":{"type":"notification_event_data","item":{"type":"ping",'
    '"message":"This is a ping notification test message."}},"links":{},"id":null,"topic":"ping",'
    '"delivery_status":null,"delivery_attempts":1,"delivered_at":0,"first_sent_at":1795510800,'
    '"created_at":1795510800,"self":null}'
)


@pytest.mark.parametrize(
    ("secret", "body", "signature"),
    [
        ("triage-test-client-secret", BODY_A, "bc343357b07c692a4892a73e09371a121d96506c"),
        ("triage-test-client-secret", BODY_B, "97dc5d98a7c40cb98d5634fe9078ea54bf5c9693"),
        (
            "triage-test-client-secret",
            json.dumps(json.loads(BODY_B), separators=(",", ":")),
            "8b812a67cfe5725c8e55ad309319b6e38d93d525",
        ),
        (
            "triage-test-client-secret",
            json.dumps(json.loads(BODY_B), ensure_ascii=False),
            "d28d99725da5a41aaf1cb7a7e6f32ef4d8fe2338",
        ),
        (
            "clé-secrète-🔑",
            '{"type":"notification_event","topic":"ping","id":null}\n',
            "2c8faa133903eadab5e3797b9c18181f9d637e39",
        ),
        ("triage-test-client-secret", "", "0f5518288d45121dbde717201948decab74ccd9b"),
        ("Jefe", "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),  # RFC 2202, case 2
    ],
)
def test_signatures_match_known_values(secret: str, body: str, signature: str) -> None:
    assert sign(body.encode(), secret) == f"sha1={signature}"


@pytest.mark.parametrize(
    ("kind", "expected_topic"),
    [
        ("created", "conversation.user.created"),
        ("replied", "conversation.user.replied"),
        ("agent_replied", "conversation.admin.replied"),
        ("assigned", "conversation.admin.assigned"),
        ("bot", "conversation.operator.replied"),
        ("ping", "ping"),
    ],
)
def test_every_kind_of_webhook_can_be_created(kind: WebhookKind, expected_topic: str) -> None:
    webhook = create_webhook("intercom", kind, secret="s3cret", text="Distinctive text", app_id="other", subject="S")
    assert get_topic(webhook) == expected_topic
    assert json.loads(webhook.body)["app_id"] == "other"
    assert ("Distinctive text" in webhook.body.decode()) is (kind not in ("assigned", "ping"))
    assert webhook.headers["X-Hub-Signature"] == sign(webhook.body, "s3cret")


def test_webhooks_with_the_same_text_are_distinct() -> None:
    first, second = (create_webhook("intercom", "created", secret="s", text="Hi") for _ in range(2))
    assert first.conversation_id != second.conversation_id
    assert get_item(first)["source"]["id"] != get_item(second)["source"]["id"]
    assert json.loads(first.body)["id"] != json.loads(second.body)["id"]
