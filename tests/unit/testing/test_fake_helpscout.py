"""The fake Help Scout behaves as Help Scout's documentation says, whatever our adapter makes of it."""

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.helpers.desks.base import Clock
from triage.testing import FakeHelpScout, RateLimit, Webhook, create_webhook
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
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> FakeHelpScout:
    return FakeHelpScout(clock=clock, rate_limit=None)


@pytest.fixture
def api(fake: FakeHelpScout) -> Iterator[httpx.Client]:
    with client(fake) as made:
        yield made


def client(fake: FakeHelpScout, **headers: str) -> httpx.Client:
    fake.tokens["token"] = fake.clock() + 60
    authorization = {"Authorization": "Bearer token"}
    return httpx.Client(
        transport=fake.transport, base_url="https://api.helpscout.invalid", headers=authorization | headers
    )


def opened(fake: FakeHelpScout, text: str = "Hi", **how: Any) -> str:
    conversation_id = fake.customer_writes(text, **how).conversation_id
    assert conversation_id is not None
    return conversation_id


def told(webhook: Webhook) -> Any:
    return json.loads(webhook.body)


def event(webhook: Webhook) -> str:
    return webhook.headers["X-HelpScout-Event"]


def refused(answer: httpx.Response, status: int, code: str, path: str | None = None) -> bool:
    error = answer.json()
    uuid.UUID(error["logRef"].partition("#")[0])
    faults = error.get("_embedded", {"errors": [{"path": None}]})["errors"]
    about = faults[0].get("_links", {"about": {"href": f"#{code}"}})["about"]["href"]
    assert error["_links"]["about"]["href"].startswith("https://developer.helpscout.com/")
    return (answer.status_code, about.partition("#")[2], faults[0]["path"]) == (status, code, path)


# Who is let in.


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"Authorization": "token"}]
)
def test_a_wrong_token_is_unauthorized(fake: FakeHelpScout, headers: dict[str, str]) -> None:
    with client(fake, **headers) as api:
        assert refused(api.get("/v2/users/me"), 401, "Unauthorized")


def test_credentials_give_a_token_for_two_days(fake: FakeHelpScout, clock: Clock) -> None:
    with httpx.Client(transport=fake.transport, base_url="https://api.helpscout.invalid") as api:
        grant = api.post("/v2/oauth2/token", json=GRANT).json()
        assert (grant["token_type"], grant["expires_in"]) == ("bearer", 172_800)
        headers = {"Authorization": f"Bearer {grant['access_token']}"}
        clock.now += 172_799
        assert api.get("/v2/users/me", headers=headers).status_code == 200
        clock.now += 1
        assert api.get("/v2/users/me", headers=headers).status_code == 401


def test_credentials_may_be_sent_in_three_ways(fake: FakeHelpScout) -> None:
    with httpx.Client(transport=fake.transport, base_url="https://api.helpscout.invalid") as api:
        answers = [
            api.post("/v2/oauth2/token", json=GRANT),
            api.post("/v2/oauth2/token", data=GRANT),
            api.post("/v2/oauth2/token", params=GRANT),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(fake.tokens) == 3


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_give_none(fake: FakeHelpScout, change: dict[str, str], status: int, error: str) -> None:
    with httpx.Client(transport=fake.transport, base_url="https://api.helpscout.invalid") as api:
        answer = api.post("/v2/oauth2/token", json=GRANT | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert fake.tokens == {}


def test_tokens_can_be_withdrawn(fake: FakeHelpScout, api: httpx.Client) -> None:
    assert api.get("/v2/users/me").status_code == 200
    fake.withdraw_tokens()
    assert api.get("/v2/users/me").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2/nowhere"), ("PUT", "/v2/users/me"), ("GET", "/v2/conversations/1/reply"), ("GET", "/v1/users/me")],
)
def test_an_unknown_path_or_method_is_not_found(api: httpx.Client, method: str, path: str) -> None:
    assert refused(api.request(method, path), 404, "NotFound")


def test_every_answer_has_an_id(api: httpx.Client) -> None:
    ids = {api.get(path).headers["Correlation-ID"] for path in ("/v2/users/me", "/v2/nowhere", "/v2/users/me")}
    assert len(ids) == 3


# The account.


def test_me_is_the_first_user(api: httpx.Client) -> None:
    me = api.get("/v2/users/me").json()
    assert (me["id"], me["firstName"], me["lastName"], me["type"]) == (771000, "Triage", "", "user")


def test_users_teams_and_inboxes_are_embedded_lists(api: httpx.Client) -> None:
    users, teams, inboxes = (api.get(f"/v2/{name}").json() for name in ("users", "teams", "mailboxes"))
    assert [user["id"] for user in users["_embedded"]["users"]] == [771000, 634102]
    assert {team["id"]: team["name"] for team in teams["_embedded"]["teams"]} == {
        771201: "On-call",
        771202: "Billing",
        771203: "Support",
    }
    assert [inbox["name"] for inbox in inboxes["_embedded"]["mailboxes"]] == ["Support"]
    assert users["page"] == {"size": 25, "totalElements": 2, "totalPages": 1, "number": 1}


def test_an_empty_list_has_nothing_embedded(clock: Clock) -> None:
    with client(FakeHelpScout(clock=clock, fields=[])) as api:
        assert "_embedded" not in api.get("/v2/mailboxes/215533/fields").json()


def test_an_inbox_tells_its_fields(api: httpx.Client) -> None:
    fields = api.get("/v2/mailboxes/215533/fields").json()["_embedded"]["fields"]
    assert [(field["id"], field["type"]) for field in fields] == [
        (104, "dropdown"),
        (105, "singleline"),
        (106, "multiline"),
        (107, "number"),
        (108, "date"),
    ]
    assert fields[0]["options"][1] == {"id": 169, "order": 2, "label": "billing"}
    assert "options" not in fields[1]
    assert refused(api.get("/v2/mailboxes/1/fields"), 404, "NotFound")


@pytest.mark.parametrize("people", [{"users": {"me": "Ada"}}, {"teams": {"a": "b"}}, {"mailboxes": {"a": "b"}}])
def test_ids_that_help_scout_would_not_have_are_refused(people: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="numbers"):
        FakeHelpScout(**people)


def test_the_settings_lead_to_the_fake(fake: FakeHelpScout) -> None:
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


# Bodies of requests.


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
def test_what_the_documentation_asks_for_is_accepted(
    fake: FakeHelpScout, api: httpx.Client, method: str, part: str, body: Any, status: int
) -> None:
    answer = api.request(method, f"/v2/conversations/{opened(fake)}{part}", json=body)
    assert (answer.status_code, answer.content) == (status, b"")
    assert ("Resource-ID" in answer.headers) == (status == 201)


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
def test_what_does_not_fit_is_named_and_changes_nothing(
    fake: FakeHelpScout, api: httpx.Client, method: str, part: str, body: Any, code: str, path: str
) -> None:
    conversation = opened(fake)
    before = api.get(f"/v2/conversations/{conversation}?embed=threads").json()
    assert refused(api.request(method, f"/v2/conversations/{conversation}{part}", json=body), 400, code, path)
    assert api.get(f"/v2/conversations/{conversation}?embed=threads").json() == before


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"", json.dumps([CLOSE]).encode()])
def test_a_body_that_is_no_json_object_is_refused(fake: FakeHelpScout, api: httpx.Client, content: bytes) -> None:
    answer = api.patch(
        f"/v2/conversations/{opened(fake)}", content=content, headers={"Content-Type": "application/json"}
    )
    assert refused(answer, 400, "BadRequest")


def test_a_body_of_another_type_is_refused(fake: FakeHelpScout, api: httpx.Client) -> None:
    answer = api.post(f"/v2/conversations/{opened(fake)}/notes", content=b'{"text": "x"}')
    assert refused(answer, 415, "UnsupportedMediaType")


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
def test_an_unknown_conversation_is_not_found(api: httpx.Client, method: str, part: str, body: Any) -> None:
    assert refused(api.request(method, f"/v2/conversations/404{part}", json=body), 404, "NotFound")


# What is done to a conversation.


def test_a_reply_reaches_the_customer_and_a_note_does_not(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    reply = api.post(f"/v2/conversations/{conversation}/reply", json=REPLY)
    api.post(f"/v2/conversations/{conversation}/notes", json=NOTE | {"user": 634102})
    assert (fake.replies(conversation), fake.notes(conversation)) == (["<p>Hello</p>"], ["<p>Inside</p>"])
    shown = api.get(f"/v2/conversations/{conversation}?embed=threads").json()
    note, first, _ = shown["_embedded"]["threads"]
    assert (first["id"], first["type"], first["createdBy"]["id"]) == (
        int(reply.headers["Resource-ID"]),
        "message",
        771000,
    )
    assert (note["type"], note["createdBy"]["first"], note["source"]) == ("note", "Ada", {"type": "api", "via": "user"})
    assert (shown["threads"], shown["preview"]) == (2, "Hello"), "notes do not count"


def test_what_a_human_writes_is_no_reply_of_ours(fake: FakeHelpScout) -> None:
    conversation = opened(fake)
    webhook = fake.agent_writes("I have it.", conversation=conversation)
    assert event(webhook) == "convo.agent.reply.created"
    assert told(webhook)["_embedded"]["threads"][0]["createdBy"]["id"] == 634102
    assert fake.replies(conversation) == []


@pytest.mark.parametrize("part", ["/reply", "/notes"])
@pytest.mark.parametrize(
    ("given", "status"),
    [(None, "active"), ("closed", "closed"), ("pending", "pending"), ("spam", "spam"), ("open", "active")],
)
def test_without_a_status_a_message_activates_the_conversation(
    fake: FakeHelpScout, api: httpx.Client, part: str, given: str | None, status: str
) -> None:
    conversation = opened(fake)
    api.patch(f"/v2/conversations/{conversation}", json=CLOSE)
    body = {**(REPLY if part == "/reply" else NOTE), **({"status": given} if given else {})}
    assert api.post(f"/v2/conversations/{conversation}{part}", json=body).status_code == 201
    assert fake.status(conversation) == status
    assert api.get(f"/v2/conversations/{conversation}").json()["status"] == status


def test_a_reply_may_leave_the_status_or_be_a_draft(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    api.patch(f"/v2/conversations/{conversation}", json=CLOSE)
    api.post(f"/v2/conversations/{conversation}/reply", json=REPLY | {"status": "all"})
    assert fake.status(conversation) == "closed"
    api.post(f"/v2/conversations/{conversation}/reply", json=REPLY | {"draft": True, "assignTo": 634102})
    assert fake.status(conversation) == "closed"
    assert fake.conversations[conversation].assignee is None, "assignTo counts for published replies alone"
    assert len(fake.replies(conversation)) == 1
    draft = api.get(f"/v2/conversations/{conversation}?embed=threads").json()["_embedded"]["threads"][0]
    assert draft["state"] == "draft"


def test_there_is_one_assignee_a_team_or_a_user(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)

    def assignee(body: Any) -> Any:
        api.patch(f"/v2/conversations/{conversation}", json=body)
        return api.get(f"/v2/conversations/{conversation}").json()["assignee"]

    assert assignee(TO_TEAM) == {"id": 771202, "type": "team", "first": "Billing", "last": "", "email": ""}
    user = assignee(TO_USER)
    assert (user["type"], user["first"], user["last"]) == ("user", "Ada", "Probe")
    assert assignee({"op": "remove", "path": "/assignTo"}) is None
    api.post(f"/v2/conversations/{conversation}/reply", json=REPLY | {"assignTo": 634102})
    assert fake.conversations[conversation].assignee == "634102"


def test_a_conversation_can_be_renamed_and_moved(clock: Clock) -> None:
    fake = FakeHelpScout(clock=clock, mailboxes={"1": "Support", "2": "Sales"})
    conversation = opened(fake)
    with client(fake) as api:
        api.patch(f"/v2/conversations/{conversation}", json={"op": "replace", "path": "/subject", "value": "Refund"})
        api.patch(f"/v2/conversations/{conversation}", json={"op": "move", "path": "/mailboxId", "value": 2})
        shown = api.get(f"/v2/conversations/{conversation}").json()
    assert (shown["subject"], shown["mailboxId"]) == ("Refund", 2)


def test_what_is_not_in_the_list_of_tags_is_removed(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    for tags in (["vip", "billing"], ["new"]):
        api.put(f"/v2/conversations/{conversation}/tags", json={"tags": tags})
        shown = api.get(f"/v2/conversations/{conversation}").json()["tags"]
        assert [tag["tag"] for tag in shown] == tags


def test_what_is_not_in_the_list_of_fields_is_removed(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    first = {"fields": [{"id": 104, "value": "168"}, {"id": 107, "value": "-12"}]}
    api.put(f"/v2/conversations/{conversation}/fields", json=first)
    assert api.get(f"/v2/conversations/{conversation}").json()["customFields"] == [
        {"id": 104, "name": "Triage", "value": "168", "text": "urgent"},
        {"id": 107, "name": "Score", "value": "-12", "text": "-12"},
    ]
    api.put(f"/v2/conversations/{conversation}/fields", json={"fields": [{"id": 105, "value": "x"}]})
    assert fake.conversations[conversation].fields == {"105": "x"}


@pytest.mark.parametrize("wakes", [True, False])
def test_a_snoozed_conversation_may_wake_when_the_customer_writes(
    fake: FakeHelpScout, api: httpx.Client, wakes: bool
) -> None:
    conversation = opened(fake)
    api.put(f"/v2/conversations/{conversation}/snooze", json=SNOOZE | {"unsnoozeOnCustomerReply": wakes})
    shown = api.get(f"/v2/conversations/{conversation}").json()
    assert shown["snooze"] == {"snoozedUntil": "2026-11-24T10:00:00Z", "unsnoozeOnCustomerReply": wakes}
    assert shown["status"] == "active"
    fake.customer_writes("Hello?", conversation=conversation)
    assert ("snooze" in api.get(f"/v2/conversations/{conversation}").json()) == (not wakes)


def test_a_conversation_of_100_threads_is_locked(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    for _ in range(98):
        fake.customer_writes("And?", conversation=conversation)
    assert api.post(f"/v2/conversations/{conversation}/notes", json=NOTE).status_code == 201
    assert refused(api.post(f"/v2/conversations/{conversation}/notes", json=NOTE), 412, "PreconditionFailed")


def test_threads_come_newest_first_in_pages_of_25(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake, "0")
    for number in range(1, 30):
        fake.customer_writes(str(number), conversation=conversation)
    path = f"/v2/conversations/{conversation}"
    embedded = api.get(f"{path}?embed=threads").json()["_embedded"]["threads"]
    first, second = (api.get(f"{path}/threads", params={"page": page}).json() for page in (1, 2))
    assert embedded == first["_embedded"]["threads"]
    assert [thread["body"] for thread in embedded][:2] == ["<p>29</p>", "<p>28</p>"]
    assert [thread["body"] for thread in second["_embedded"]["threads"]][-1] == "<p>0</p>"
    assert first["page"] == {"size": 25, "totalElements": 30, "totalPages": 2, "number": 1}
    assert first["_links"]["next"]["href"].endswith("?page=2")
    assert "next" not in second["_links"]
    assert api.get(path).json()["_embedded"] == {}


def test_changes_leave_line_items_without_a_body(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    api.patch(f"/v2/conversations/{conversation}", json=TO_TEAM)
    item = api.get(f"/v2/conversations/{conversation}/threads").json()["_embedded"]["threads"][0]
    assert (item["type"], "body" in item) == ("lineitem", False)
    assert api.get(f"/v2/conversations/{conversation}").json()["threads"] == 1


def test_a_merged_conversation_is_redirected_to_when_read_and_gone_when_written(
    fake: FakeHelpScout, api: httpx.Client
) -> None:
    kept, gone = opened(fake, "First"), opened(fake, "Second")
    webhook = fake.merge(gone, into=kept)
    assert (event(webhook), webhook.conversation_id) == ("convo.merged", kept)
    for version in ("v2", "v3"):
        answer = api.get(f"/{version}/conversations/{gone}")
        location = f"https://api.helpscout.net/{version}/conversations/{kept}"
        assert (answer.status_code, answer.headers["Location"]) == (301, location)
    assert refused(api.put(f"/v2/conversations/{gone}/tags", json={"tags": []}), 404, "NotFound")
    bodies = [thread.get("body") for thread in told(webhook)["_embedded"]["threads"]]
    assert bodies == [None, "<p>Second</p>", "<p>First</p>"]


def test_a_conversation_that_a_test_emptied_is_shown_all_the_same(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    fake.conversations[conversation].messages.clear()
    shown = api.get(f"/v2/conversations/{conversation}").json()
    assert (shown["threads"], shown["preview"], shown["createdBy"]["type"]) == (0, "", "customer")


def test_version_3_tells_an_ai_from_a_user(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = fake.bot_greets().conversation_id
    types = [
        api.get(f"/{version}/conversations/{conversation}?embed=threads").json()["createdBy"]["type"]
        for version in ("v2", "v3")
    ]
    assert types == ["user", "system_user"]


# Webhooks.


def test_a_webhook_is_signed_and_names_its_event_in_a_header() -> None:
    webhook = FakeHelpScout(webhook_secret="key").customer_writes("Hello")
    digest = hmac.new(b"key", webhook.body, hashlib.sha1).digest()
    assert webhook.headers["X-HelpScout-Signature"] == base64.b64encode(digest).decode()
    assert event(webhook) == "convo.created"
    assert not {"event", "eventType", "data"} & set(told(webhook))


def test_a_customers_message_brings_the_whole_conversation(fake: FakeHelpScout) -> None:
    first = fake.customer_writes(
        "Hello", name="Zoë Müller", email="zoe@example.org", subject="Order", attachments=["a.pdf"]
    )
    shown = told(first)
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
    again = fake.customer_writes("Hello?", conversation=first.conversation_id)
    assert (event(again), told(again)["threads"]) == ("convo.customer.reply.created", 2)


def test_a_customer_may_have_no_name_or_address(fake: FakeHelpScout) -> None:
    customer = told(fake.customer_writes("Hello", name=None, email=None))["primaryCustomer"]
    assert (customer["first"], customer["last"], customer["email"]) == ("", "", "")


def test_a_customers_message_opens_a_closed_conversation(fake: FakeHelpScout, api: httpx.Client) -> None:
    conversation = opened(fake)
    api.patch(f"/v2/conversations/{conversation}", json=CLOSE)
    assert api.get(f"/v2/conversations/{conversation}").json()["closedAt"] == "2026-11-24T09:00:00Z"
    assert told(fake.customer_writes("Again!", conversation=conversation))["status"] == "active"


def test_a_scene_may_be_set_by_hand(fake: FakeHelpScout) -> None:
    conversation = opened(fake)
    fake.conversations[conversation].state = "closed"
    assert fake.status(conversation) == "closed"


def test_a_human_takes_a_conversation(fake: FakeHelpScout) -> None:
    webhook = fake.assign(opened(fake))
    assert (event(webhook), told(webhook)["assignee"]["id"]) == ("convo.assigned", 634102)
    webhook = fake.assign(opened(fake), "771000")
    assert told(webhook)["assignee"]["id"] == 771000


def test_an_ai_may_speak_first(fake: FakeHelpScout) -> None:
    webhook = fake.bot_greets("Hi!")
    assert event(webhook) == "convo.ai-answers.created"
    assert told(webhook)["_embedded"]["threads"][0]["body"] == "<p>Hi!</p>"
    newer = FakeHelpScout(payload_version="V3").bot_greets()
    assert told(newer)["createdBy"]["type"] == "system_user"


def test_a_test_call_is_signed_and_empty(fake: FakeHelpScout) -> None:
    webhook = fake.ping()
    assert (event(webhook), webhook.body, webhook.conversation_id) == ("helpscout.test", b"{}", None)
    assert webhook.headers["X-HelpScout-Signature"] == sign(b"{}", "fake-webhook-secret")


def test_a_redelivery_is_the_same_to_the_byte(fake: FakeHelpScout) -> None:
    webhook = fake.customer_writes("Hello")
    assert fake.redeliver(webhook) == webhook


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
def test_a_webhook_can_be_had_without_a_fake(kind: Any, name: str) -> None:
    webhook = create_webhook("helpscout", kind, secret="key")
    assert (event(webhook), webhook.headers["X-HelpScout-Signature"]) == (name, sign(webhook.body, "key"))


# Limits and faults.


def test_reading_costs_one_and_writing_two(clock: Clock) -> None:
    fake = FakeHelpScout(clock=clock, rate_limit=RateLimit(10, 60))
    conversation = opened(fake)
    with client(fake) as api:
        left = [
            api.request(method, f"/v2/conversations/{conversation}{part}", json=body).headers[
                "X-RateLimit-Remaining-Minute"
            ]
            for method, part, body in (
                ("GET", "", None),
                ("PATCH", "", CLOSE),
                ("POST", "/notes", NOTE),
                ("PUT", "/tags", {"tags": []}),
            )
        ]
    assert left == ["9", "7", "5", "3"]


def test_above_the_limit_calls_are_refused_until_the_next_minute(clock: Clock) -> None:
    fake = FakeHelpScout(clock=clock, rate_limit=RateLimit(2, 60))
    clock.now += 15.5
    with client(fake) as api:
        assert [api.get("/v2/users/me").status_code for _ in range(3)] == [200, 200, 429]
        answer = api.get("/v2/users/me")
        assert answer.json() == {"message": "API rate limit exceeded"}
        assert answer.headers["X-RateLimit-Limit-Minute"] == "2"
        assert answer.headers["X-RateLimit-Retry-After"] == "45"
        clock.now += 45
        assert api.get("/v2/users/me").status_code == 200


def test_the_limit_is_the_standard_plans_unless_there_is_none(clock: Clock, api: httpx.Client) -> None:
    with client(FakeHelpScout(clock=clock)) as limited:
        assert limited.get("/v2/users/me").headers["X-RateLimit-Limit-Minute"] == "200"
    assert "X-RateLimit-Limit-Minute" not in api.get("/v2/users/me").headers


def test_a_call_can_be_told_to_fail_in_the_vendors_words(fake: FakeHelpScout, api: httpx.Client) -> None:
    fake.fail("GET /v2/users/me", status=503)
    assert refused(api.get("/v2/users/me"), 503, "ServiceUnavailable")
    fake.fail("GET /v2/users/me", status=429)
    answer = api.get("/v2/users/me")
    assert (answer.status_code, answer.headers["X-RateLimit-Retry-After"]) == (429, "60")
    fake.fail("GET /v2/users/me", timeout=True)
    with pytest.raises(httpx.ReadTimeout):
        api.get("/v2/users/me")
    assert api.get("/v2/users/me").status_code == 200


def test_an_async_client_gets_the_same_answers(fake: FakeHelpScout) -> None:
    async def asked() -> httpx.Response:
        transport = fake.transport
        async with httpx.AsyncClient(transport=transport, base_url="https://api.helpscout.invalid") as api:
            return await api.post("/v2/oauth2/token", json=GRANT)

    assert asyncio.run(asked()).json()["token_type"] == "bearer"


def test_it_runs_as_a_server(fake: FakeHelpScout) -> None:
    with fake.serve() as base_url, httpx.Client(base_url=base_url) as api:
        token = api.post("/v2/oauth2/token", json=GRANT).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        conversation = opened(fake)
        answer = api.post(f"/v2/conversations/{conversation}/notes", json=NOTE, headers=headers)
        assert (answer.status_code, answer.headers["Resource-ID"]) == (
            201,
            fake.conversations[conversation].messages[-1].id,
        )
        assert api.patch(f"/v2/conversations/{conversation}", json=CLOSE, headers=headers).status_code == 204
