"""The fake Help Scout behaves as Help Scout's documentation says, independently of the adapter."""

import base64
import hmac
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.helpers.desks.base import Clock
from tests.unit.testing.helpers import compute_hmac, open_conversation, parse_body
from triage.testing import FakeHelpScout, RateLimit, Webhook, WebhookKind, create_webhook
from triage.testing.desks.helpscout import sign

NOW = 1_795_510_800  # 2026-11-24 09:00 UTC
GRANT = {"grant_type": "client_credentials", "client_id": "fake-app-id", "client_secret": "fake-app-secret"}
CUSTOMER = {"id": 501_000_001}

REPLY = {"text": "<p>Hello</p>", "customer": CUSTOMER}
NOTE = {"text": "<p>Inside</p>"}
TO_TEAM = {"op": "replace", "path": "/assignTo", "value": 771202}
TO_USER = TO_TEAM | {"value": 634102}
CLOSE = {"op": "replace", "path": "/status", "value": "closed"}
SNOOZE = {"snoozedUntil": "2026-11-24T10:00:00Z", "unsnoozeOnCustomerReply": True}


@pytest.fixture
def fake(clock: Clock) -> FakeHelpScout:
    return FakeHelpScout(clock=clock, rate_limit=None)


@pytest.fixture
def client(fake: FakeHelpScout) -> Iterator[httpx.Client]:
    with connect(fake) as http_client:
        yield http_client


def connect(fake: FakeHelpScout, **headers: str) -> httpx.Client:
    fake.tokens["token"] = fake.clock() + 60
    authorization = {"Authorization": "Bearer token"}
    return httpx.Client(
        transport=fake.transport, base_url="https://api.helpscout.invalid", headers=authorization | headers
    )


def get_event(webhook: Webhook) -> str:
    return webhook.headers["X-HelpScout-Event"]


def has_error(response: httpx.Response, status: int, code: str, path: str | None = None) -> bool:
    error = response.json()
    uuid.UUID(error["logRef"].partition("#")[0])
    faults = error.get("_embedded", {"errors": [{"path": None}]})["errors"]
    about = faults[0].get("_links", {"about": {"href": f"#{code}"}})["about"]["href"]
    assert error["_links"]["about"]["href"].startswith("https://developer.helpscout.com/")
    return (response.status_code, about.partition("#")[2], faults[0]["path"]) == (status, code, path)


# Authentication.


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"Authorization": "token"}]
)
def test_a_wrong_token_is_unauthorized(fake: FakeHelpScout, headers: dict[str, str]) -> None:
    with connect(fake, **headers) as client:
        assert has_error(client.get("/v2/users/me"), 401, "Unauthorized")


def test_credentials_are_exchanged_for_a_token_of_two_days(fake: FakeHelpScout, clock: Clock) -> None:
    with httpx.Client(transport=fake.transport, base_url="https://api.helpscout.invalid") as client:
        grant = client.post("/v2/oauth2/token", json=GRANT).json()
        assert (grant["token_type"], grant["expires_in"]) == ("bearer", 172_800)
        headers = {"Authorization": f"Bearer {grant['access_token']}"}
        clock.now += 172_799
        assert client.get("/v2/users/me", headers=headers).status_code == 200
        clock.now += 1
        assert client.get("/v2/users/me", headers=headers).status_code == 401


def test_credentials_can_be_sent_in_three_ways(fake: FakeHelpScout) -> None:
    with httpx.Client(transport=fake.transport, base_url="https://api.helpscout.invalid") as client:
        responses = [
            client.post("/v2/oauth2/token", json=GRANT),
            client.post("/v2/oauth2/token", data=GRANT),
            client.post("/v2/oauth2/token", params=GRANT),
        ]
    assert [response.status_code for response in responses] == [200, 200, 200]
    assert len(fake.tokens) == 3


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_get_no_token(fake: FakeHelpScout, change: dict[str, str], status: int, error: str) -> None:
    with httpx.Client(transport=fake.transport, base_url="https://api.helpscout.invalid") as client:
        response = client.post("/v2/oauth2/token", json=GRANT | change)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert fake.tokens == {}


def test_tokens_can_be_withdrawn(fake: FakeHelpScout, client: httpx.Client) -> None:
    assert client.get("/v2/users/me").status_code == 200
    fake.withdraw_tokens()
    assert client.get("/v2/users/me").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2/nowhere"), ("PUT", "/v2/users/me"), ("GET", "/v2/conversations/1/reply"), ("GET", "/v1/users/me")],
)
def test_an_unknown_path_or_method_is_not_found(client: httpx.Client, method: str, path: str) -> None:
    assert has_error(client.request(method, path), 404, "NotFound")


def test_every_response_has_a_correlation_id(client: httpx.Client) -> None:
    ids = {client.get(path).headers["Correlation-ID"] for path in ("/v2/users/me", "/v2/nowhere", "/v2/users/me")}
    assert len(ids) == 3


# The account.


def test_me_is_the_first_user(client: httpx.Client) -> None:
    me = client.get("/v2/users/me").json()
    assert (me["id"], me["firstName"], me["lastName"], me["type"]) == (771000, "Triage", "", "user")


def test_users_teams_and_inboxes_are_embedded(client: httpx.Client) -> None:
    users, teams, inboxes = (client.get(f"/v2/{name}").json() for name in ("users", "teams", "mailboxes"))
    assert [user["id"] for user in users["_embedded"]["users"]] == [771000, 634102]
    assert {team["id"]: team["name"] for team in teams["_embedded"]["teams"]} == {
        771201: "On-call",
        771202: "Billing",
        771203: "Support",
    }
    assert [inbox["name"] for inbox in inboxes["_embedded"]["mailboxes"]] == ["Support"]
    assert users["page"] == {"size": 25, "totalElements": 2, "totalPages": 1, "number": 1}


def test_an_empty_list_has_no_embedded_key(clock: Clock) -> None:
    with connect(FakeHelpScout(clock=clock, fields=[])) as client:
        assert "_embedded" not in client.get("/v2/mailboxes/215533/fields").json()


def test_the_custom_fields_of_an_inbox_are_listed(client: httpx.Client) -> None:
    fields = client.get("/v2/mailboxes/215533/fields").json()["_embedded"]["fields"]
    assert [(field["id"], field["type"]) for field in fields] == [
        (104, "dropdown"),
        (105, "singleline"),
        (106, "multiline"),
        (107, "number"),
        (108, "date"),
    ]
    assert fields[0]["options"][1] == {"id": 169, "order": 2, "label": "billing"}
    assert "options" not in fields[1]
    assert has_error(client.get("/v2/mailboxes/1/fields"), 404, "NotFound")


@pytest.mark.parametrize("people", [{"users": {"me": "Ada"}}, {"teams": {"a": "b"}}, {"mailboxes": {"a": "b"}}])
def test_ids_must_be_numbers(people: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="numbers"):
        FakeHelpScout(**people)


def test_settings_and_environment_configure_the_adapter(fake: FakeHelpScout) -> None:
    assert fake.settings("http://127.0.0.1:1") == {
        "webhook_secret": "fake-webhook-secret",
        "app_id": "fake-app-id",
        "app_secret": "fake-app-secret",
        "user_id": "771000",
        "base_url": "http://127.0.0.1:1",
    }
    assert fake.env() == {
        "HELPSCOUT_WEBHOOK_SECRET": "fake-webhook-secret",
        "HELPSCOUT_APP_ID": "fake-app-id",
        "HELPSCOUT_APP_SECRET": "fake-app-secret",
        "HELPSCOUT_USER_ID": "771000",
        "HELPSCOUT_BASE_URL": "https://helpdesk.invalid",
        "HELPSCOUT_TEAM_ONCALL": "771201",
        "HELPSCOUT_TEAM_BILLING": "771202",
        "HELPSCOUT_TEAM_SUPPORT": "771203",
    }


# Request bodies.


ACCEPTED = [
    ("POST", "/reply", REPLY, 201),
    ("POST", "/reply", REPLY | {"status": "closed", "user": 634102, "assignTo": 634102, "draft": False}, 201),
    ("POST", "/reply", {"text": "Hi", "customer": {"email": "mira@example.com"}, "cc": [], "bcc": []}, 201),
    ("POST", "/reply", REPLY | {"imported": True, "createdAt": "2026-11-24T09:00:00Z", "attachments": []}, 201),
    ("POST", "/notes", NOTE, 201),
    ("POST", "/notes", NOTE | {"status": "inbox_predefined", "user": 771000}, 201),
    ("PATCH", "", TO_TEAM, 204),
    ("PATCH", "", TO_USER, 204),
    ("PATCH", "", {"op": "remove", "path": "/assignTo"}, 204),
    ("PATCH", "", CLOSE, 204),
    ("PATCH", "", {"op": "replace", "path": "/subject", "value": "Refund"}, 204),
    ("PATCH", "", {"op": "move", "path": "/mailboxId", "value": 215533}, 204),
    ("PUT", "/tags", {"tags": ["vip", "billing"]}, 204),
    ("PUT", "/tags", {"tags": []}, 204),
    ("PUT", "/fields", {"fields": [{"id": 104, "value": "168"}, {"id": 108, "value": "2026-12-01"}]}, 204),
    ("PUT", "/fields", {"fields": []}, 204),
    ("PUT", "/snooze", SNOOZE, 204),
]


@pytest.mark.parametrize(("method", "part", "body", "status"), ACCEPTED)
def test_documented_bodies_are_accepted(
    fake: FakeHelpScout, client: httpx.Client, method: str, part: str, body: Any, status: int
) -> None:
    response = client.request(method, f"/v2/conversations/{open_conversation(fake)}{part}", json=body)
    assert (response.status_code, response.content) == (status, b"")
    assert ("Resource-ID" in response.headers) == (status == 201)


REFUSED = [
    ("POST", "/reply", {"customer": CUSTOMER}, "NotBlank", "text"),
    ("POST", "/reply", REPLY | {"text": ""}, "NotBlank", "text"),
    ("POST", "/reply", {"text": "Hi"}, "NotBlank", "customer"),
    ("POST", "/reply", REPLY | {"customer": 501_000_001}, "InvalidType", "customer"),
    ("POST", "/reply", REPLY | {"customer": {"id": 7}}, "NotFound", "customer"),
    ("POST", "/reply", REPLY | {"customer": {"id": "501000001"}}, "NotFound", "customer"),
    ("POST", "/reply", REPLY | {"status": "done"}, "EnumValue", "status"),
    ("POST", "/reply", REPLY | {"status": "inbox_predefined"}, "EnumValue", "status"),
    ("POST", "/reply", REPLY | {"user": "634102"}, "InvalidType", "user"),
    ("POST", "/reply", REPLY | {"user": 7}, "NotFound", "user"),
    ("POST", "/reply", REPLY | {"assignTo": 7}, "NotFound", "value"),
    ("POST", "/reply", REPLY | {"draft": "no"}, "InvalidType", "draft"),
    ("POST", "/reply", REPLY | {"body": "Hi"}, "UnknownProperty", "body"),
    ("POST", "/notes", {}, "NotBlank", "text"),
    ("POST", "/notes", NOTE | {"status": "all"}, "EnumValue", "status"),
    ("POST", "/notes", NOTE | {"customer": CUSTOMER}, "UnknownProperty", "customer"),
    ("PATCH", "", TO_TEAM | {"path": "/assignee"}, "EnumValue", "path"),
    ("PATCH", "", TO_TEAM | {"op": "add"}, "EnumValue", "path"),
    ("PATCH", "", TO_TEAM | {"op": ["replace"]}, "EnumValue", "path"),
    ("PATCH", "", TO_TEAM | {"value": "771202"}, "InvalidType", "value"),
    ("PATCH", "", TO_TEAM | {"value": 7}, "NotFound", "value"),
    ("PATCH", "", CLOSE | {"value": "open"}, "EnumValue", "value"),
    ("PATCH", "", {"op": "replace", "path": "/mailboxId", "value": 215533}, "EnumValue", "path"),
    ("PATCH", "", {"op": "move", "path": "/mailboxId", "value": 7}, "NotFound", "value"),
    ("PUT", "/tags", {}, "NotBlank", "tags"),
    ("PUT", "/tags", {"tags": "vip"}, "InvalidType", "tags"),
    ("PUT", "/tags", {"tags": [{"tag": "vip"}]}, "InvalidType", "tags"),
    ("PUT", "/tags", {"tags": [" "]}, "InvalidType", "tags"),
    ("PUT", "/fields", {"fields": {"104": "168"}}, "InvalidType", "fields"),
    ("PUT", "/fields", {"fields": ["104"]}, "InvalidType", "fields[0]"),
    ("PUT", "/fields", {"fields": [{"id": 104}]}, "InvalidType", "fields[0]"),
    ("PUT", "/fields", {"fields": [{"id": 7, "value": "168"}]}, "NotFound", "fields[0].id"),
    ("PUT", "/fields", {"fields": [{"id": "104", "value": "168"}]}, "NotFound", "fields[0].id"),
    ("PUT", "/fields", {"fields": [{"id": 104, "value": 168}]}, "InvalidValue", "fields[0].value"),
    ("PUT", "/fields", {"fields": [{"id": 104, "value": "urgent"}]}, "InvalidValue", "fields[0].value"),
    ("PUT", "/fields", {"fields": [{"id": 105, "value": "x" * 256}]}, "InvalidValue", "fields[0].value"),
    ("PUT", "/fields", {"fields": [{"id": 106, "value": "x" * 15_001}]}, "InvalidValue", "fields[0].value"),
    ("PUT", "/fields", {"fields": [{"id": 107, "value": "7.5"}]}, "InvalidValue", "fields[0].value"),
    ("PUT", "/fields", {"fields": [{"id": 108, "value": "1 December"}]}, "InvalidValue", "fields[0].value"),
    ("PUT", "/snooze", {"snoozedUntil": SNOOZE["snoozedUntil"]}, "NotBlank", "unsnoozeOnCustomerReply"),
    ("PUT", "/snooze", SNOOZE | {"snoozedUntil": "tomorrow"}, "InvalidDate", "snoozedUntil"),
    ("PUT", "/snooze", SNOOZE | {"snoozedUntil": "2026-11-24T09:00:00Z"}, "InvalidDate", "snoozedUntil"),
    ("PUT", "/snooze", SNOOZE | {"unsnoozeOnCustomerReply": "yes"}, "InvalidType", "unsnoozeOnCustomerReply"),
]


@pytest.mark.parametrize(("method", "part", "body", "code", "path"), REFUSED)
def test_an_invalid_field_is_named_and_changes_nothing(
    fake: FakeHelpScout, client: httpx.Client, method: str, part: str, body: Any, code: str, path: str
) -> None:
    conversation = open_conversation(fake)
    before = client.get(f"/v2/conversations/{conversation}?embed=threads").json()
    assert has_error(client.request(method, f"/v2/conversations/{conversation}{part}", json=body), 400, code, path)
    assert client.get(f"/v2/conversations/{conversation}?embed=threads").json() == before


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"", json.dumps([CLOSE]).encode()])
def test_a_body_that_is_not_a_json_object_is_rejected(
    fake: FakeHelpScout, client: httpx.Client, content: bytes
) -> None:
    response = client.patch(
        f"/v2/conversations/{open_conversation(fake)}", content=content, headers={"Content-Type": "application/json"}
    )
    assert has_error(response, 400, "BadRequest")


def test_a_body_without_the_json_content_type_is_rejected(fake: FakeHelpScout, client: httpx.Client) -> None:
    response = client.post(f"/v2/conversations/{open_conversation(fake)}/notes", content=b'{"text": "x"}')
    assert has_error(response, 415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    ("method", "part", "body"),
    [
        ("GET", "", None),
        ("GET", "/threads", None),
        ("PATCH", "", CLOSE),
        ("POST", "/reply", REPLY),
        ("POST", "/notes", NOTE),
        ("PUT", "/tags", {"tags": []}),
        ("PUT", "/fields", {"fields": []}),
        ("PUT", "/snooze", SNOOZE),
    ],
)
def test_an_unknown_conversation_is_not_found(client: httpx.Client, method: str, part: str, body: Any) -> None:
    assert has_error(client.request(method, f"/v2/conversations/404{part}", json=body), 404, "NotFound")


# Changes of a conversation.


def test_a_reply_reaches_the_customer_and_a_note_does_not(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    reply = client.post(f"/v2/conversations/{conversation}/reply", json=REPLY)
    client.post(f"/v2/conversations/{conversation}/notes", json=NOTE | {"user": 634102})
    assert (fake.replies(conversation), fake.notes(conversation)) == (["<p>Hello</p>"], ["<p>Inside</p>"])
    shown = client.get(f"/v2/conversations/{conversation}?embed=threads").json()
    note, first, _ = shown["_embedded"]["threads"]
    assert (first["id"], first["type"], first["createdBy"]["id"]) == (
        int(reply.headers["Resource-ID"]),
        "message",
        771000,
    )
    assert (note["type"], note["createdBy"]["first"], note["source"]) == ("note", "Ada", {"type": "api", "via": "user"})
    assert (shown["threads"], shown["preview"]) == (2, "Hello"), "notes are not counted"


def test_a_humans_reply_is_not_a_reply_of_the_api(fake: FakeHelpScout) -> None:
    conversation = open_conversation(fake)
    webhook = fake.agent_writes("I have it.", conversation=conversation)
    assert get_event(webhook) == "convo.agent.reply.created"
    assert parse_body(webhook)["_embedded"]["threads"][0]["createdBy"]["id"] == 634102
    assert fake.replies(conversation) == []


@pytest.mark.parametrize("part", ["/reply", "/notes"])
@pytest.mark.parametrize(
    ("requested", "status"),
    [(None, "active"), ("closed", "closed"), ("pending", "pending"), ("spam", "spam"), ("open", "active")],
)
def test_a_reply_or_note_without_a_status_activates_the_conversation(
    fake: FakeHelpScout, client: httpx.Client, part: str, requested: str | None, status: str
) -> None:
    conversation = open_conversation(fake)
    client.patch(f"/v2/conversations/{conversation}", json=CLOSE)
    body = {**(REPLY if part == "/reply" else NOTE), **({"status": requested} if requested else {})}
    assert client.post(f"/v2/conversations/{conversation}{part}", json=body).status_code == 201
    assert fake.status(conversation) == status
    assert client.get(f"/v2/conversations/{conversation}").json()["status"] == status


def test_a_reply_can_keep_the_status_or_be_a_draft(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    client.patch(f"/v2/conversations/{conversation}", json=CLOSE)
    client.post(f"/v2/conversations/{conversation}/reply", json=REPLY | {"status": "all"})
    assert fake.status(conversation) == "closed"
    client.post(f"/v2/conversations/{conversation}/reply", json=REPLY | {"draft": True, "assignTo": 634102})
    assert fake.status(conversation) == "closed"
    assert fake.conversations[conversation].assignee is None, "assignTo applies only to published replies"
    assert len(fake.replies(conversation)) == 1
    draft = client.get(f"/v2/conversations/{conversation}?embed=threads").json()["_embedded"]["threads"][0]
    assert draft["state"] == "draft"


def test_a_conversation_has_one_assignee_a_team_or_a_user(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)

    def assignee(body: Any) -> Any:
        client.patch(f"/v2/conversations/{conversation}", json=body)
        return client.get(f"/v2/conversations/{conversation}").json()["assignee"]

    assert assignee(TO_TEAM) == {"id": 771202, "type": "team", "first": "Billing", "last": "", "email": ""}
    user = assignee(TO_USER)
    assert (user["type"], user["first"], user["last"]) == ("user", "Ada", "Probe")
    assert assignee({"op": "remove", "path": "/assignTo"}) is None
    client.post(f"/v2/conversations/{conversation}/reply", json=REPLY | {"assignTo": 634102})
    assert fake.conversations[conversation].assignee == "634102"


def test_a_conversation_can_be_renamed_and_moved(clock: Clock) -> None:
    fake = FakeHelpScout(clock=clock, mailboxes={"1": "Support", "2": "Sales"})
    conversation = open_conversation(fake)
    with connect(fake) as client:
        client.patch(f"/v2/conversations/{conversation}", json={"op": "replace", "path": "/subject", "value": "Refund"})
        client.patch(f"/v2/conversations/{conversation}", json={"op": "move", "path": "/mailboxId", "value": 2})
        shown = client.get(f"/v2/conversations/{conversation}").json()
    assert (shown["subject"], shown["mailboxId"]) == ("Refund", 2)


def test_a_list_of_tags_replaces_the_stored_tags(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    for tags in (["vip", "billing"], ["new"]):
        client.put(f"/v2/conversations/{conversation}/tags", json={"tags": tags})
        shown = client.get(f"/v2/conversations/{conversation}").json()["tags"]
        assert [tag["tag"] for tag in shown] == tags


def test_a_list_of_fields_replaces_the_stored_fields(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    first = {"fields": [{"id": 104, "value": "168"}, {"id": 107, "value": "-12"}]}
    client.put(f"/v2/conversations/{conversation}/fields", json=first)
    assert client.get(f"/v2/conversations/{conversation}").json()["customFields"] == [
        {"id": 104, "name": "Triage", "value": "168", "text": "urgent"},
        {"id": 107, "name": "Score", "value": "-12", "text": "-12"},
    ]
    client.put(f"/v2/conversations/{conversation}/fields", json={"fields": [{"id": 105, "value": "x"}]})
    assert fake.conversations[conversation].fields == {"105": "x"}


@pytest.mark.parametrize("wakes", [True, False])
def test_a_snoozed_conversation_can_wake_when_the_customer_writes(
    fake: FakeHelpScout, client: httpx.Client, wakes: bool
) -> None:
    conversation = open_conversation(fake)
    client.put(f"/v2/conversations/{conversation}/snooze", json=SNOOZE | {"unsnoozeOnCustomerReply": wakes})
    shown = client.get(f"/v2/conversations/{conversation}").json()
    assert shown["snooze"] == {"snoozedUntil": "2026-11-24T10:00:00Z", "unsnoozeOnCustomerReply": wakes}
    assert shown["status"] == "active"
    fake.customer_writes("Hello?", conversation=conversation)
    assert ("snooze" in client.get(f"/v2/conversations/{conversation}").json()) == (not wakes)


def test_a_conversation_of_100_threads_is_locked(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    for _ in range(98):
        fake.customer_writes("And?", conversation=conversation)
    assert client.post(f"/v2/conversations/{conversation}/notes", json=NOTE).status_code == 201
    assert has_error(client.post(f"/v2/conversations/{conversation}/notes", json=NOTE), 412, "PreconditionFailed")


def test_threads_are_paged_newest_first_25_at_a_time(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake, "0")
    for number in range(1, 30):
        fake.customer_writes(str(number), conversation=conversation)
    path = f"/v2/conversations/{conversation}"
    embedded = client.get(f"{path}?embed=threads").json()["_embedded"]["threads"]
    first, second = (client.get(f"{path}/threads", params={"page": page}).json() for page in (1, 2))
    assert embedded == first["_embedded"]["threads"]
    assert [thread["body"] for thread in embedded][:2] == ["<p>29</p>", "<p>28</p>"]
    assert [thread["body"] for thread in second["_embedded"]["threads"]][-1] == "<p>0</p>"
    assert first["page"] == {"size": 25, "totalElements": 30, "totalPages": 2, "number": 1}
    assert first["_links"]["next"]["href"].endswith("?page=2")
    assert "next" not in second["_links"]
    assert client.get(path).json()["_embedded"] == {}


def test_changes_add_line_items_without_a_body(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    client.patch(f"/v2/conversations/{conversation}", json=TO_TEAM)
    item = client.get(f"/v2/conversations/{conversation}/threads").json()["_embedded"]["threads"][0]
    assert (item["type"], "body" in item) == ("lineitem", False)
    assert client.get(f"/v2/conversations/{conversation}").json()["threads"] == 1


def test_reads_of_a_merged_conversation_are_redirected_and_writes_are_404(
    fake: FakeHelpScout, client: httpx.Client
) -> None:
    target, source = open_conversation(fake, "First"), open_conversation(fake, "Second")
    webhook = fake.merge(source, into=target)
    assert (get_event(webhook), webhook.conversation_id) == ("convo.merged", target)
    for version in ("v2", "v3"):
        response = client.get(f"/{version}/conversations/{source}")
        location = f"https://api.helpscout.net/{version}/conversations/{target}"
        assert (response.status_code, response.headers["Location"]) == (301, location)
    assert has_error(client.put(f"/v2/conversations/{source}/tags", json={"tags": []}), 404, "NotFound")
    bodies = [thread.get("body") for thread in parse_body(webhook)["_embedded"]["threads"]]
    assert bodies == [None, "<p>Second</p>", "<p>First</p>"]


def test_a_conversation_without_messages_can_be_read(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    fake.conversations[conversation].messages.clear()
    shown = client.get(f"/v2/conversations/{conversation}").json()
    assert (shown["threads"], shown["preview"], shown["createdBy"]["type"]) == (0, "", "customer")


def test_version_3_distinguishes_an_ai_from_a_user(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = fake.bot_greets().conversation_id
    types = [
        client.get(f"/{version}/conversations/{conversation}?embed=threads").json()["createdBy"]["type"]
        for version in ("v2", "v3")
    ]
    assert types == ["user", "system_user"]


# Webhooks.


def test_a_webhook_is_signed_and_names_its_event_in_a_header() -> None:
    webhook = FakeHelpScout(webhook_secret="key").customer_writes("Hello")
    digest = hmac.digest(b"key", webhook.body, "sha1")
    assert webhook.headers["X-HelpScout-Signature"] == base64.b64encode(digest).decode()
    assert get_event(webhook) == "convo.created"
    assert not {"event", "eventType", "data"} & set(parse_body(webhook))


def test_a_webhook_holds_the_whole_conversation(fake: FakeHelpScout) -> None:
    first = fake.customer_writes(
        "Hello", name="Zoë Müller", email="zoe@example.org", subject="Order", attachments=["a.pdf"]
    )
    shown = parse_body(first)
    assert (shown["type"], shown["subject"], shown["status"], shown["threads"]) == ("email", "Order", "active", 1)
    assert shown["primaryCustomer"] == {
        "id": 501_000_001,
        "type": "customer",
        "first": "Zoë",
        "last": "Müller",
        "email": "zoe@example.org",
    }
    (thread,) = shown["_embedded"]["threads"]
    assert (thread["type"], thread["state"], thread["createdAt"]) == ("customer", "published", "2026-11-24T09:00:00Z")
    assert thread["_embedded"]["attachments"][0]["filename"] == "a.pdf"
    reply = fake.customer_writes("Hello?", conversation=first.conversation_id)
    assert (get_event(reply), parse_body(reply)["threads"]) == ("convo.customer.reply.created", 2)


def test_a_customer_can_be_without_name_and_email_address(fake: FakeHelpScout) -> None:
    customer = parse_body(fake.customer_writes("Hello", name=None, email=None))["primaryCustomer"]
    assert (customer["first"], customer["last"], customer["email"]) == ("", "", "")


def test_a_customers_message_opens_a_closed_conversation(fake: FakeHelpScout, client: httpx.Client) -> None:
    conversation = open_conversation(fake)
    client.patch(f"/v2/conversations/{conversation}", json=CLOSE)
    assert client.get(f"/v2/conversations/{conversation}").json()["closedAt"] == "2026-11-24T09:00:00Z"
    assert parse_body(fake.customer_writes("Again!", conversation=conversation))["status"] == "active"


def test_a_test_can_change_the_state_of_a_conversation(fake: FakeHelpScout) -> None:
    conversation = open_conversation(fake)
    fake.conversations[conversation].state = "closed"
    assert fake.status(conversation) == "closed"


def test_a_human_can_take_a_conversation(fake: FakeHelpScout) -> None:
    webhook = fake.assign(open_conversation(fake))
    assert (get_event(webhook), parse_body(webhook)["assignee"]["id"]) == ("convo.assigned", 634102)
    webhook = fake.assign(open_conversation(fake), "771000")
    assert parse_body(webhook)["assignee"]["id"] == 771000


def test_an_ai_can_write_the_first_message(fake: FakeHelpScout) -> None:
    webhook = fake.bot_greets("Hi!")
    assert get_event(webhook) == "convo.ai-answers.created"
    assert parse_body(webhook)["_embedded"]["threads"][0]["body"] == "<p>Hi!</p>"
    webhook = FakeHelpScout(payload_version="V3").bot_greets()
    assert parse_body(webhook)["createdBy"]["type"] == "system_user"


def test_a_test_call_is_signed_and_empty(fake: FakeHelpScout) -> None:
    webhook = fake.ping()
    assert (get_event(webhook), webhook.body, webhook.conversation_id) == ("helpscout.test", b"{}", None)
    assert webhook.headers["X-HelpScout-Signature"] == sign(b"{}", "fake-webhook-secret")


def test_a_redelivery_is_identical(fake: FakeHelpScout) -> None:
    webhook = fake.customer_writes("Hello")
    assert fake.redeliver(webhook) == webhook


def test_openssl_computes_the_same_signature() -> None:
    assert sign("Grüße".encode(), "key") == base64.b64encode(compute_hmac("sha1", "key", "Grüße".encode())).decode()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("created", "convo.created"),
        ("replied", "convo.customer.reply.created"),
        ("agent_replied", "convo.agent.reply.created"),
        ("assigned", "convo.assigned"),
        ("bot", "convo.ai-answers.created"),
        ("ping", "helpscout.test"),
    ],
)
def test_every_kind_of_webhook_can_be_created(kind: WebhookKind, name: str) -> None:
    webhook = create_webhook("helpscout", kind, secret="key")
    assert (get_event(webhook), webhook.headers["X-HelpScout-Signature"]) == (name, sign(webhook.body, "key"))


# Rate limits and faults.


def test_reading_costs_one_and_writing_two(clock: Clock) -> None:
    fake = FakeHelpScout(clock=clock, rate_limit=RateLimit(10, 60))
    conversation = open_conversation(fake)
    with connect(fake) as client:
        remaining = [
            client.request(method, f"/v2/conversations/{conversation}{part}", json=body).headers[
                "X-RateLimit-Remaining-Minute"
            ]
            for method, part, body in (
                ("GET", "", None),
                ("PATCH", "", CLOSE),
                ("POST", "/notes", NOTE),
                ("PUT", "/tags", {"tags": []}),
            )
        ]
    assert remaining == ["9", "7", "5", "3"]


def test_calls_above_the_limit_are_rejected_until_the_next_minute(clock: Clock) -> None:
    fake = FakeHelpScout(clock=clock, rate_limit=RateLimit(2, 60))
    clock.now += 15.5
    with connect(fake) as client:
        assert [client.get("/v2/users/me").status_code for _ in range(3)] == [200, 200, 429]
        response = client.get("/v2/users/me")
        assert response.json() == {"message": "API rate limit exceeded"}
        assert response.headers["X-RateLimit-Limit-Minute"] == "2"
        assert response.headers["X-RateLimit-Retry-After"] == "45"
        clock.now += 45
        assert client.get("/v2/users/me").status_code == 200


def test_the_default_limit_is_that_of_the_standard_plan(clock: Clock, client: httpx.Client) -> None:
    with connect(FakeHelpScout(clock=clock)) as limited_client:
        assert limited_client.get("/v2/users/me").headers["X-RateLimit-Limit-Minute"] == "200"
    assert "X-RateLimit-Limit-Minute" not in client.get("/v2/users/me").headers


def test_planned_failures_have_the_vendors_format(fake: FakeHelpScout, client: httpx.Client) -> None:
    fake.fail("GET /v2/users/me", status=503)
    assert has_error(client.get("/v2/users/me"), 503, "ServiceUnavailable")
    fake.fail("GET /v2/users/me", status=429)
    response = client.get("/v2/users/me")
    assert (response.status_code, response.headers["X-RateLimit-Retry-After"]) == (429, "60")
    fake.fail("GET /v2/users/me", timeout=True)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/v2/users/me")
    assert client.get("/v2/users/me").status_code == 200


def test_it_runs_as_a_server(fake: FakeHelpScout) -> None:
    with fake.serve() as base_url, httpx.Client(base_url=base_url) as client:
        token = client.post("/v2/oauth2/token", json=GRANT).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        conversation = open_conversation(fake)
        response = client.post(f"/v2/conversations/{conversation}/notes", json=NOTE, headers=headers)
        assert (response.status_code, response.headers["Resource-ID"]) == (
            201,
            fake.conversations[conversation].messages[-1].id,
        )
        assert client.patch(f"/v2/conversations/{conversation}", json=CLOSE, headers=headers).status_code == 204
