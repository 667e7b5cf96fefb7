"""The fake Intercom behaves as Intercom's documentation says, whatever our adapter makes of it."""

import asyncio
import functools
import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest

import triage.testing
from tests.helpers.desks.base import Clock
from tests.helpers.paths import SPECS
from triage.testing import FakeIntercom, RateLimit, Webhook, create_webhook, to_html, to_text
from triage.testing.desks.intercom import sign

VERSIONS = ["2.13", "2.14", "2.15", "2.16"]
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
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> FakeIntercom:
    return FakeIntercom(clock=clock)


@pytest.fixture
def api(fake: FakeIntercom) -> Iterator[httpx.Client]:
    with client(fake) as made:
        yield made


def client(fake: FakeIntercom, **headers: str) -> httpx.Client:
    authorization = {"Authorization": "Bearer fake-access-token"}
    return httpx.Client(
        transport=fake.transport, base_url="https://api.intercom.invalid", headers=authorization | headers
    )


def opened(fake: FakeIntercom, text: str = "Hi", **how: Any) -> str:
    conversation_id = fake.customer_writes(text, **how).conversation_id
    assert conversation_id is not None
    return conversation_id


def item(webhook: Webhook) -> Any:
    return json.loads(webhook.body)["data"]["item"]


def topic(webhook: Webhook) -> Any:
    return json.loads(webhook.body)["topic"]


def refused(answer: httpx.Response, status: int, code: str, field: str | None = None) -> bool:
    told = answer.json()
    uuid.UUID(told["request_id"])
    error = told["errors"][0]
    return (answer.status_code, told["type"], error["code"], error.get("field")) == (status, "error.list", code, field)


# Who is let in.


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer wrong"}, {"Authorization": ""}])
def test_a_wrong_token_is_unauthorized(fake: FakeIntercom, headers: dict[str, str]) -> None:
    with client(fake, **headers) as api:
        assert refused(api.get("/me"), 401, "unauthorized")


def test_an_unknown_version_is_refused(fake: FakeIntercom) -> None:
    with client(fake, **{"Intercom-Version": "3.0"}) as api:
        assert refused(api.get("/me"), 400, "intercom_version_invalid")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("PATCH", "/me"), ("GET", "/conversations/1/reply"), ("GET", "/me/")]
)
def test_an_unknown_path_or_method_is_not_found(api: httpx.Client, method: str, path: str) -> None:
    assert refused(api.request(method, path), 404, "not_found")


# The workspace.


def test_me_is_the_first_teammate_and_names_the_workspace(api: httpx.Client) -> None:
    me = api.get("/me").json()
    assert (me["id"], me["app"]["id_code"], me["app"]["region"]) == ("99999", "abc123de", "US")


def test_teammates_and_teams_have_strings_for_ids(api: httpx.Client) -> None:
    admins, teams = api.get("/admins").json(), api.get("/teams").json()
    assert [(one["id"], one["has_inbox_seat"]) for one in admins["admins"]] == [("99999", True), ("88888", True)]
    assert {one["id"]: one["name"] for one in teams["teams"]} == {
        "12345": "On-call",
        "67890": "Billing",
        "11111": "Support",
    }


def test_a_tag_is_made_once_and_found_again(api: httpx.Client) -> None:
    assert api.get("/tags").json()["data"] == []
    made = api.post("/tags", json={"name": "billing"}).json()
    assert api.post("/tags", json={"name": "billing"}).json() == made
    assert api.get("/tags").json() == {"type": "list", "data": [made]}
    assert refused(api.post("/tags", json={}), 400, "parameter_missing", "name")


def test_ids_that_intercom_would_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers"):
        FakeIntercom(users={"me": "Ada Probe"})


def test_the_settings_lead_to_the_fake(fake: FakeIntercom) -> None:
    assert fake.settings("http://127.0.0.1:1") == {
        "client_secret": "fake-client-secret",
        "access_token": "fake-access-token",
        "admin_id": "99999",
        "base_url": "http://127.0.0.1:1",
    }
    assert fake.env() == {
        "INTERCOM_CLIENT_SECRET": "fake-client-secret",
        "INTERCOM_ACCESS_TOKEN": "fake-access-token",
        "INTERCOM_ADMIN_ID": "99999",
        "INTERCOM_BASE_URL": "https://helpdesk.invalid",
        "INTERCOM_TEAM_ONCALL": "12345",
        "INTERCOM_TEAM_BILLING": "67890",
        "INTERCOM_TEAM_SUPPORT": "11111",
    }


# Bodies of requests.


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
def test_a_body_that_is_no_json_object_is_refused(
    fake: FakeIntercom, api: httpx.Client, content: bytes, content_type: str
) -> None:
    path = f"/conversations/{opened(fake)}/reply"
    answer = api.post(path, content=content, headers={"Content-Type": content_type})
    assert refused(answer, 400, "parameter_invalid")


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
    ("POST", kind, {name: value for name, value in body.items() if name != left_out}, left_out)
    for kind, body in WHOLE
    for left_out in body
    # The schema does not require the body, the text of the documentation does, for comments and notes.
    if left_out != "body"
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


def description(version: str) -> tuple[OpenAPI, Any]:
    name = f"intercom-{version}.yaml"
    return load_description(name), load_document(name)["components"]["schemas"]


def described(version: str, method: str, path: str, body: Any) -> bool:
    request = MockRequest(
        "https://api.intercom.io",
        method.lower(),
        path,
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer x", "Intercom-Version": version},
        content_type="application/json",
    )
    try:
        description(version)[0].validate_request(request)
    except OpenAPIError:
        return False
    return True


def path_of(fake: FakeIntercom, api: httpx.Client, part: str) -> str:
    api.post("/tags", json={"name": "billing"})
    fake.tags["billing"] = "7520001"
    return f"/conversations/{opened(fake)}/{part}".rstrip("/")


@pytest.mark.parametrize(("method", "part", "body"), ACCEPTED)
def test_what_the_documentation_asks_for_is_accepted(
    fake: FakeIntercom, api: httpx.Client, method: str, part: str, body: Any
) -> None:
    assert api.request(method, path_of(fake, api, part), json=body).status_code == 200


@pytest.mark.parametrize(
    ("method", "part", "body", "field"), [*MISSING, ("POST", "reply", COMMENT | {"body": ""}, "body")]
)
def test_a_missing_field_is_named(
    fake: FakeIntercom, api: httpx.Client, method: str, part: str, body: Any, field: str
) -> None:
    assert refused(api.request(method, path_of(fake, api, part), json=body), 400, "parameter_missing", field)


@pytest.mark.parametrize(("method", "part", "body", "field"), INVALID)
def test_an_invalid_field_is_named(
    fake: FakeIntercom, api: httpx.Client, method: str, part: str, body: Any, field: str
) -> None:
    assert refused(api.request(method, path_of(fake, api, part), json=body), 400, "parameter_invalid", field)


@pytest.mark.parametrize("version", ["2.13", "2.16"])
def test_the_vendors_own_description_accepts_and_refuses_the_same_bodies(version: str) -> None:
    for method, part, body in ACCEPTED:
        assert described(version, method, f"/conversations/5/{part}".rstrip("/"), body), (part, body)
    for method, part, body, _ in [*MISSING, *INVALID]:
        assert not described(version, method, f"/conversations/5/{part}".rstrip("/"), body), (part, body)


def test_quick_replies_came_with_2_14(fake: FakeIntercom) -> None:
    path = f"/conversations/{opened(fake)}/reply"
    with client(fake, **{"Intercom-Version": "2.13"}) as api:
        assert refused(api.post(path, json=QUICK), 400, "parameter_invalid", "message_type")
    with client(fake, **{"Intercom-Version": "2.14"}) as api:
        part = api.post(path, json=QUICK).json()["conversation_parts"]["conversation_parts"][0]
    assert (part["part_type"], part["body"]) == ("quick_reply", None)


# What is done to a conversation.


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
def test_an_unknown_conversation_is_not_found(api: httpx.Client, method: str, path: str, body: Any) -> None:
    assert refused(api.request(method, f"/conversations/404{path}", json=body), 404, "not_found")


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
def test_whoever_and_whatever_is_named_must_exist(
    fake: FakeIntercom, api: httpx.Client, part: str, body: Any, code: str
) -> None:
    assert refused(api.post(f"/conversations/{opened(fake)}/{part}", json=body), 404, code)


def test_a_reply_reaches_the_customer_and_a_note_does_not(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake, "First")
    api.post(f"/conversations/{conversation_id}/reply", json=COMMENT | {"body": "bare text"})
    answer = api.post(f"/conversations/{conversation_id}/reply", json=NOTE).json()
    assert fake.replies(conversation_id) == ["<p>bare text</p>"]
    assert fake.notes(conversation_id) == ["<p>Inside</p>"]
    assert answer["teammates"]["teammates"] == [{"type": "admin", "id": "99999"}]
    parts = answer["conversation_parts"]  # only the new one
    assert parts["total_count"] == 1
    assert (parts["conversation_parts"][0]["part_type"], parts["conversation_parts"][0]["author"]["id"]) == (
        "note",
        "99999",
    )


def test_what_a_human_writes_is_no_reply_of_ours(fake: FakeIntercom) -> None:
    conversation_id = opened(fake)
    webhook = fake.agent_writes("A human was here", conversation=conversation_id)
    assert fake.replies(conversation_id) == []
    part = item(webhook)["conversation_parts"]["conversation_parts"][0]
    assert (topic(webhook), part["author"]["type"], part["author"]["id"], part["body"]) == (
        "conversation.admin.replied",
        "admin",
        "88888",
        "A human was here",
    )


def test_a_conversation_can_have_a_team_and_a_teammate(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    path = f"/conversations/{conversation_id}/parts"
    api.post(path, json=TO_TEAM)
    answer = api.post(path, json=TO_ADMIN).json()
    assert (answer["team_assignee_id"], answer["admin_assignee_id"]) == (67890, 88888)  # integers in answers
    part = answer["conversation_parts"]["conversation_parts"][0]
    assert (part["part_type"], part["assigned_to"]) == ("assignment", {"type": "admin", "id": "88888"})
    conversation = fake.conversations[conversation_id]
    assert (conversation.team, conversation.assignee) == ("67890", "88888")


@pytest.mark.parametrize(("version", "nobody"), [("2.13", None), ("2.15", None), ("2.16", 0), ("2.17", 0)])
def test_nobody_is_null_or_zero_by_version(fake: FakeIntercom, version: str, nobody: int | None) -> None:
    path = f"/conversations/{opened(fake)}/parts"
    with client(fake, **{"Intercom-Version": version}) as api:
        api.post(path, json=TO_ADMIN)
        answer = api.post(path, json=TO_ADMIN | {"assignee_id": "0"}).json()
    assert (answer["team_assignee_id"], answer["admin_assignee_id"]) == (nobody, nobody)
    part = answer["conversation_parts"]["conversation_parts"][0]
    assert part["assigned_to"] == {"type": "nobody_admin", "id": None}


def test_assigning_a_closed_conversation_opens_it(fake: FakeIntercom, api: httpx.Client) -> None:
    path = f"/conversations/{opened(fake)}/parts"
    closed = api.post(path, json=CLOSE).json()
    assert (closed["open"], closed["state"]) == (False, "closed")
    assigned = api.post(path, json=TO_TEAM).json()
    assert (assigned["open"], assigned["state"]) == (True, "open")
    assert assigned["conversation_parts"]["conversation_parts"][0]["part_type"] == "assign_and_reopen"


def test_the_body_of_a_close_is_shown_to_the_customer(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    api.post(f"/conversations/{conversation_id}/parts", json=CLOSE | {"body": "Goodbye :)"})
    assert fake.replies(conversation_id) == ["<p>Goodbye :)</p>"]


def test_a_snoozed_conversation_is_open_and_tells_until_when(fake: FakeIntercom, api: httpx.Client) -> None:
    path = f"/conversations/{opened(fake)}/parts"
    snoozed = api.post(path, json=SNOOZE).json()
    assert (snoozed["open"], snoozed["state"], snoozed["snoozed_until"]) == (True, "snoozed", NOW + 3600)
    woken = api.post(path, json=OPEN).json()
    assert (woken["open"], woken["state"], woken["snoozed_until"]) == (True, "open", None)


def test_fields_of_another_kind_of_part_are_not_looked_at(fake: FakeIntercom, api: httpx.Client) -> None:
    path = f"/conversations/{opened(fake)}/parts"
    opened_again = api.post(path, json=OPEN | {"body": ["no text"], "snoozed_until": NOW}).json()
    assert (opened_again["state"], opened_again["snoozed_until"]) == ("open", None)


def test_a_tag_is_put_on_by_id_and_taken_off(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    path = f"/conversations/{conversation_id}/tags"
    api.post("/tags", json={"name": "other"})
    tag = api.post("/tags", json={"name": "billing"}).json()
    api.post(path, json={"id": tag["id"], "admin_id": "99999"})
    put_on = api.post(path, json={"id": tag["id"], "admin_id": "99999"}).json()
    assert put_on == tag | {"applied_at": NOW, "applied_by": {"type": "admin", "id": "99999"}}
    assert fake.conversations[conversation_id].tags == ["billing"]
    assert api.get(f"/conversations/{conversation_id}").json()["tags"]["tags"] == [put_on]
    off = functools.partial(api.request, "DELETE", f"{path}/{tag['id']}", json={"admin_id": "99999"})
    assert off().json()["name"] == "billing"
    assert fake.conversations[conversation_id].tags == []
    assert refused(off(), 404, "not_found")


def test_a_tag_that_a_test_put_on_by_hand_gets_an_id(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    fake.conversations[conversation_id].tags.append("vip")
    shown = api.get(f"/conversations/{conversation_id}").json()["tags"]["tags"]
    assert shown == [{"type": "tag", "id": fake.tags["vip"], "name": "vip"}]


def test_attributes_are_set_under_the_bots_name(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    path = f"/conversations/{conversation_id}"
    answer = api.put(path, json={"custom_attributes": {"triage": "billing", "score": 7}, "title": "Refund"}).json()
    assert answer["custom_attributes"] == {"triage": "billing", "score": 7}
    assert fake.conversations[conversation_id].fields == {"triage": "billing", "score": 7}
    assert (answer["title"], answer["read"]) == ("Refund", False)
    parts = answer["conversation_parts"]["conversation_parts"]
    assert [(part["part_type"], part["author"]["type"]) for part in parts] == [
        ("conversation_attribute_updated_by_admin", "bot")
    ] * 2


def test_priority_cannot_be_set(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    answer = api.put(f"/conversations/{conversation_id}", json={"priority": "urgent"}).json()
    assert answer["priority"] == "none"


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
def test_priority_has_two_words_and_then_five(fake: FakeIntercom, version: str, priority: str, shown: str) -> None:
    conversation_id = opened(fake)
    fake.conversations[conversation_id].priority = priority
    with client(fake, **{"Intercom-Version": version}) as api:
        assert api.get(f"/conversations/{conversation_id}").json()["priority"] == shown


def test_text_is_html_unless_plain_text_is_asked_for(fake: FakeIntercom, api: httpx.Client) -> None:
    markup = '<p>See <a href="https://example.com/x">the page</a> &amp; tell</p><ul><li>one</li><li>two</li></ul>'
    conversation_id = opened(fake, markup, html=True, subject="R & D")
    fake.customer_writes("1 < 2", conversation=conversation_id)
    path = f"/conversations/{conversation_id}"
    rich, plain = api.get(path).json(), api.get(path, params={"display_as": "plaintext"}).json()
    assert (rich["source"]["body"], rich["source"]["subject"]) == (markup, "<p>R &amp; D</p>")
    assert rich["conversation_parts"]["conversation_parts"][0]["body"] == "<p>1 &lt; 2</p>"
    assert plain["source"]["body"] == "See the page (https://example.com/x) & tell\n\none\n\ntwo"
    assert (plain["source"]["subject"], plain["source"]["type"]) == ("R & D", "email")
    assert plain["conversation_parts"]["conversation_parts"][0]["body"] == "1 < 2"


@pytest.mark.parametrize("text", ["one", "a < b & c", "one\ntwo", "one\n\ntwo\nthree", ""])
def test_plain_text_survives_html(text: str) -> None:
    assert to_text(to_html(text)) == text


def test_odd_html_is_read_all_the_same() -> None:
    assert to_text('a\n  b</a> <a>c</a><img src="https://example.com/i.png"><p>d') == "a b c ()\n\nd"


def test_at_most_the_500_newest_parts_are_shown(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    for number in range(501):
        fake.customer_writes(str(number), conversation=conversation_id)
    shown = api.get(f"/conversations/{conversation_id}").json()["conversation_parts"]
    assert (len(shown["conversation_parts"]), shown["total_count"]) == (500, 500)
    assert shown["conversation_parts"][0]["body"] == "<p>1</p>"


def test_times_tell_who_waits_for_whom(fake: FakeIntercom, api: httpx.Client, clock: Clock) -> None:
    conversation_id = opened(fake)
    path = f"/conversations/{conversation_id}"
    clock.now += 10
    fake.customer_writes("Anybody?", conversation=conversation_id)
    assert api.get(path).json()["waiting_since"] == NOW
    clock.now += 10
    answered = api.post(f"{path}/reply", json=COMMENT).json()
    assert (answered["waiting_since"], answered["updated_at"]) == (None, NOW + 20)
    api.post(f"{path}/parts", json=TO_TEAM)
    statistics = api.post(f"{path}/parts", json=CLOSE).json()["statistics"]
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
    path = f"/conversations/{opened(fake)}"
    with client(fake, **{"Intercom-Version": "2.13"}) as api:
        old = api.get(path).json()
    with client(fake, **{"Intercom-Version": version}) as api:
        new = api.get(path).json()
    assert set(new) - set(old) == NEWER.get(version, set())
    assert ("from_ai_agent" in new["source"]["author"]) is (version != "2.13")
    assert ("recipients" in new["source"]) is (version == "2.16")


@pytest.mark.parametrize("version", ["2.13", "2.16"])
def test_no_field_is_invented(version: str) -> None:
    _, schemas = description(version)
    fake = FakeIntercom(api_version=version)  # type: ignore[arg-type]
    conversation_id = opened(fake)
    with client(fake) as api:
        shown = api.post(f"/conversations/{conversation_id}/reply", json=COMMENT).json()
    # These three are in the examples, though not in the schema.
    assert set(shown) - set(schemas["conversation"]["properties"]) <= {"topics", "ticket", "custom_attributes"}
    assert set(shown["source"]) <= set(schemas["conversation_source"]["properties"])
    part = shown["conversation_parts"]["conversation_parts"][0]
    assert set(part) - set(schemas["conversation_part"]["properties"]) <= {"metadata"}
    assert set(part["author"]) <= set(schemas["conversation_part_author"]["properties"])
    assert set(shown["statistics"]) == set(schemas["conversation_statistics"]["properties"])


# Webhooks.


@pytest.mark.parametrize("version", VERSIONS)
def test_the_apps_version_shapes_a_webhook(version: str, clock: Clock) -> None:
    fake = FakeIntercom(api_version=version, clock=clock)  # type: ignore[arg-type]
    webhook = fake.customer_writes("1 < 2", subject="R & D")
    notification, shown = json.loads(webhook.body), item(webhook)
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
    digest = hmac.new(b"other", webhook.body, hashlib.sha1).hexdigest()
    assert webhook.headers["X-Hub-Signature"] == f"sha1={digest}"
    assert webhook.headers["Content-Type"] == "application/json"


def test_a_reply_of_the_customer_brings_only_the_new_part(fake: FakeIntercom) -> None:
    conversation_id = opened(fake, "First", name="Mira", email=None)
    fake.customer_writes("Second", conversation=conversation_id)
    webhook = fake.customer_writes("Third", conversation=conversation_id, attachments=["a.pdf", "blob"])
    shown = item(webhook)
    part = shown["conversation_parts"]["conversation_parts"][0]
    assert topic(webhook) == "conversation.user.replied"
    assert (shown["source"]["body"], shown["conversation_parts"]["total_count"]) == ("First", 1)
    assert (part["body"], part["part_type"], part["author"]["type"]) == ("Third", "comment", "user")
    assert (part["author"]["name"], part["author"]["email"]) == ("Mira", None)
    assert [(one["name"], one["content_type"]) for one in part["attachments"]] == [
        ("a.pdf", "application/pdf"),
        ("blob", "application/octet-stream"),
    ]


def test_a_reply_to_a_closed_conversation_opens_it_with_the_text_in_that_part(fake: FakeIntercom) -> None:
    conversation_id = opened(fake)
    fake.conversations[conversation_id].state = "closed"
    shown = item(fake.customer_writes("Still broken", conversation=conversation_id))
    part = shown["conversation_parts"]["conversation_parts"][0]
    assert (shown["state"], part["part_type"], part["body"]) == ("open", "open", "Still broken")


@pytest.mark.parametrize(
    ("version", "told"), [("2.13", "conversation.admin.replied"), ("2.14", "conversation.operator.replied")]
)
def test_after_a_bots_greeting_the_customers_first_words_are_a_reply(version: str, told: str) -> None:
    fake = FakeIntercom(api_version=version)  # type: ignore[arg-type]
    greeting = fake.bot_greets()
    assert topic(greeting) == told
    assert item(greeting)["source"]["author"]["type"] == "bot"
    assert item(greeting)["first_contact_reply"] is None
    reply = fake.customer_writes("My card was refused", conversation=greeting.conversation_id)
    assert topic(reply) == "conversation.user.replied"
    assert item(reply)["source"]["delivered_as"] == "operator_initiated"
    assert item(reply)["first_contact_reply"]["type"] == "conversation"


def test_a_human_takes_a_conversation(fake: FakeIntercom) -> None:
    conversation_id = opened(fake)
    webhook = fake.assign(conversation_id)
    assert topic(webhook) == "conversation.admin.assigned"
    assert item(webhook)["admin_assignee_id"] == 88888
    fake.assign(conversation_id, "99999")
    assert fake.conversations[conversation_id].assignee == "99999"


def test_a_ping_has_no_id(fake: FakeIntercom) -> None:
    webhook = fake.ping()
    assert (topic(webhook), json.loads(webhook.body)["id"], item(webhook)["type"]) == ("ping", None, "ping")
    assert webhook.conversation_id is None


def test_a_redelivery_is_the_same_notification_once_more(fake: FakeIntercom) -> None:
    first = fake.customer_writes("Hi")
    again = fake.redeliver(first)
    assert json.loads(again.body) == json.loads(first.body) | {"delivery_attempts": 2}
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
def test_signatures_are_those_computed_elsewhere(secret: str, body: str, signature: str) -> None:
    assert sign(body.encode(), secret) == f"sha1={signature}"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("created", "conversation.user.created"),
        ("replied", "conversation.user.replied"),
        ("agent_replied", "conversation.admin.replied"),
        ("assigned", "conversation.admin.assigned"),
        ("bot", "conversation.operator.replied"),
        ("ping", "ping"),
    ],
)
def test_a_webhook_can_be_had_without_a_fake(kind: Any, told: str) -> None:
    webhook = create_webhook("intercom", kind, secret="s3cret", text="Unlikely words", app_id="other", subject="S")
    assert topic(webhook) == told
    assert json.loads(webhook.body)["app_id"] == "other"
    assert ("Unlikely words" in webhook.body.decode()) is (kind not in ("assigned", "ping"))
    assert webhook.headers["X-Hub-Signature"] == sign(webhook.body, "s3cret")


def test_no_two_webhooks_of_the_same_words_are_the_same() -> None:
    first, second = (create_webhook("intercom", "created", secret="s", text="Hi") for _ in range(2))
    assert first.conversation_id != second.conversation_id
    assert item(first)["source"]["id"] != item(second)["source"]["id"]
    assert json.loads(first.body)["id"] != json.loads(second.body)["id"]


# The journal, faults and limits.


def test_every_call_is_in_the_journal(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    api.get(f"/conversations/{conversation_id}", params={"display_as": "plaintext"})
    api.post("/tags", json={"name": "billing"})
    api.post("/tags", content=b"\xe9{")
    told = [(call.method, call.path, dict(call.query), call.body, call.status) for call in fake.calls]
    assert told == [
        ("GET", f"/conversations/{conversation_id}", {"display_as": "plaintext"}, None, 200),
        ("POST", "/tags", {}, {"name": "billing"}, 200),
        ("POST", "/tags", {}, "\ufffd{", 400),
    ]
    assert fake.calls[1].headers["content-type"] == "application/json"
    assert "fake-access-token" not in repr(fake.calls)


def test_a_call_fails_once_and_changes_nothing(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    path = f"/conversations/{conversation_id}/reply"
    fake.fail("POST /conversations/*/reply", status=503, headers={"Retry-After": "2"})
    assert api.get(f"/conversations/{conversation_id}").status_code == 200
    failed = api.post(path, json=COMMENT)
    assert refused(failed, 503, "service_unavailable")
    assert (failed.headers["Retry-After"], "X-RateLimit-Reset" in failed.headers) == ("2", True)
    assert fake.replies(conversation_id) == []
    assert api.post(path, json=COMMENT).status_code == 200
    assert [call.status for call in fake.calls] == [200, 503, 200]


def test_a_failure_after_the_effect_leaves_the_effect(fake: FakeIntercom, api: httpx.Client) -> None:
    conversation_id = opened(fake)
    fake.fail("POST /conversations/*/reply", status=502, body=b"<html>Bad gateway</html>", after=True)
    failed = api.post(f"/conversations/{conversation_id}/reply", json=COMMENT)
    assert (failed.status_code, failed.text) == (502, "<html>Bad gateway</html>")
    assert fake.replies(conversation_id) == ["<p>Hello</p>"]


@pytest.mark.parametrize("after", [False, True])
def test_a_call_times_out(fake: FakeIntercom, api: httpx.Client, after: bool) -> None:
    conversation_id = opened(fake)
    fake.fail(timeout=True, after=after)
    with pytest.raises(httpx.ReadTimeout):
        api.post(f"/conversations/{conversation_id}/reply", json=COMMENT)
    assert bool(fake.replies(conversation_id)) is after
    assert fake.calls[0].status is None


def test_a_connection_is_refused(fake: FakeIntercom, api: httpx.Client) -> None:
    fake.fail(refused=True)
    with pytest.raises(httpx.ConnectError):
        api.get("/me")


@pytest.mark.parametrize("how", [{"after": True}, {"timeout": True}])
def test_a_refused_connection_can_have_no_effect(fake: FakeIntercom, how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refused"):
        fake.fail(refused=True, **how)


def test_calls_fail_in_the_order_that_was_asked_for_until_recovery(fake: FakeIntercom, api: httpx.Client) -> None:
    fake.fail("GET /me", status=418, times=2)
    fake.fail("GET /*", status=429, code="too_many_requests", times=None)
    codes = [api.get("/me").json()["errors"][0]["code"] for _ in range(4)]
    assert codes == ["server_error"] * 2 + ["too_many_requests"] * 2
    fake.recover()
    assert api.get("/me").status_code == 200


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [("** /conversations/1", False), ("* /conversations/*", True), ("GET /conversations/*/reply", False), ("**", True)],
)
def test_a_star_stands_for_one_part_of_a_path(fake: FakeIntercom, api: httpx.Client, pattern: str, hit: bool) -> None:
    conversation_id = opened(fake)
    fake.fail(pattern, status=500)
    assert (api.get(f"/conversations/{conversation_id}").status_code == 500) is hit


def test_above_the_limit_calls_are_refused_until_the_next_window(clock: Clock) -> None:
    fake = FakeIntercom(clock=clock, rate_limit=RateLimit(2, 10))
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    with client(fake) as api:
        answers = [api.get("/me") for _ in range(3)]
        assert [[answer.headers[name] for name in names] for answer in answers] == [
            ["2", "1", str(NOW + 10)],
            ["2", "0", str(NOW + 10)],
            ["2", "0", str(NOW + 10)],
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert refused(answers[2], 429, "rate_limit_exceeded")
        clock.now += 10
        assert api.get("/me").status_code == 200


def test_the_limit_is_intercoms_own_unless_there_is_none(api: httpx.Client) -> None:
    assert api.get("/me").headers["X-RateLimit-Limit"] == "1666"
    with client(FakeIntercom(rate_limit=None)) as unlimited:
        assert "X-RateLimit-Limit" not in unlimited.get("/me").headers


# The two ways to call it.


def test_an_async_client_gets_the_same_answers(fake: FakeIntercom) -> None:
    fake.fail(timeout=True)

    async def ask() -> int:
        headers = {"Authorization": "Bearer fake-access-token"}
        async with httpx.AsyncClient(transport=fake.transport, headers=headers) as api:
            with pytest.raises(httpx.ReadTimeout):
                await api.get("https://api.intercom.invalid/me")
            return (await api.get("https://api.intercom.invalid/me")).status_code

    assert asyncio.run(ask()) == 200


def test_calls_take_as_long_as_they_are_told(fake: FakeIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[tuple[str, float]] = []

    async def async_sleep(seconds: float) -> None:
        slept.append(("async", seconds))

    async def ask() -> None:
        async with httpx.AsyncClient(transport=fake.transport) as api:
            await api.get("https://api.intercom.invalid/me")

    fake.latency = 0.25
    with fake.serve() as base_url, monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda seconds: slept.append(("sync", seconds)))
        httpx.get(base_url)
        with client(fake) as api:
            api.get("/me")
    runner = asyncio.Runner()
    with runner, monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", async_sleep)
        runner.run(ask())
    assert slept == [("sync", 0.25), ("sync", 0.25), ("async", 0.25)]


def test_it_runs_as_a_server(fake: FakeIntercom) -> None:
    conversation_id = opened(fake)
    headers = {"Authorization": "Bearer fake-access-token"}
    with fake.serve() as base_url, httpx.Client(base_url=base_url, headers=headers) as api:
        assert api.post(f"/conversations/{conversation_id}/reply", json=COMMENT).status_code == 200
        fake.fail("POST /conversations/*/reply", timeout=True, after=True)
        with pytest.raises(httpx.RemoteProtocolError):
            api.post(f"/conversations/{conversation_id}/reply", json=COMMENT)
    assert fake.replies(conversation_id) == ["<p>Hello</p>"] * 2


def test_threads_do_not_get_into_each_others_way(fake: FakeIntercom) -> None:
    conversation_id = opened(fake)

    def reply() -> None:
        with client(fake) as api:
            for _ in range(20):
                api.post(f"/conversations/{conversation_id}/reply", json=COMMENT)

    threads = [threading.Thread(target=reply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.calls) == len(fake.replies(conversation_id)) == 80
    assert len({message.id for message in fake.conversations[conversation_id].messages}) == 81


def test_all_public_names_are_there_and_sorted() -> None:
    assert triage.testing.__all__ == sorted(triage.testing.__all__)
    assert all(hasattr(triage.testing, name) for name in triage.testing.__all__)
