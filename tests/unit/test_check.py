"""`triage check`, against the fakes: it names the cause of each broken set-up, and changes nothing."""

import json
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.api import Api
from tests.helpers.claude import FakeTime
from tests.helpers.desks import DESKS, CrispDesk, Desk, FrontDesk, HelpScoutDesk, IntercomDesk, ZendeskDesk
from tests.helpers.routing import only
from triage import Assign, Close, ConfigurationError, Router, SetFields, Tag
from triage.check import parse_sample
from triage.classifiers import Claude
from triage.inbox import MemoryInbox, SQLiteInbox
from triage.models import Finding
from triage.testing import FakeClaude, Webhook
from triage.vendors import Intercom
from triage.vendors.base import HelpDesk


@pytest.fixture(params=DESKS.values(), ids=list(DESKS))
def desk(request: pytest.FixtureRequest) -> Desk:
    created: Desk = request.param()
    return created


def capture(webhook: Webhook) -> bytes:
    """Return a delivery as a user captures it."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items())
    return b"POST /webhooks HTTP/1.1\r\n" + headers.encode() + b"\r\n" + webhook.body


def find(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def check(api: Api, router: Router, **options: Any) -> dict[str, str]:
    """Return the statuses of the findings by name."""
    return {finding.name: finding.status for finding in api.check(router, **options)}


def answer(desk: Desk, call: str, data: dict[str, Any], times: int | None = None) -> None:
    """Answer a call with other data."""
    desk.fake.fail(call, status=200, body=json.dumps(data).encode(), times=times)


# Set-ups that work


def test_everything_is_checked_and_nothing_is_changed(api: Api, desk: Desk) -> None:
    inbox = MemoryInbox(clock=desk.clock)
    inbox.record_heartbeat(desk.name)
    webhook = desk.fake.customer_writes("Hello")
    router = desk.router(inbox=inbox)
    statuses = check(api, router, sample=capture(webhook))
    tags = {"tags": "skipped"} if "tags" in statuses else {}
    assert statuses == tags | dict.fromkeys(
        ("credentials", "teams", "clock", "webhook secret", "classifier", "inbox", "worker"), "ok"
    )
    reads = ["GET", *(["POST"] if router.vendor.auth else [])]
    assert {call.method for call in desk.fake.calls} <= set(reads)
    assert [call.path for call in desk.fake.calls if call.method == "POST" and "token" not in call.path] == []
    assert sum(inbox.count_states().values()) == 0


def test_users_and_fields_of_the_policy_are_found(api: Api, desk: Desk) -> None:
    if isinstance(desk.fake, type(IntercomDesk().fake)):
        desk.fake.attributes.append(desk.field)
    if isinstance(desk.fake, type(FrontDesk().fake)):
        desk.fake.custom_fields.append(desk.field)
    actions = only(Assign(user=desk.human), SetFields({desk.field: "y"}))
    statuses = check(api, desk.router(buckets=actions), with_classifier=False)
    assert statuses["users"] == "ok"
    assert statuses["fields"] == ("skipped" if desk.name == "crisp" else "ok")
    assert (statuses["inbox"], statuses["webhook secret"]) == ("skipped", "skipped")
    assert "classifier" not in statuses


def test_a_sample_that_is_old_or_ends_with_a_line_break_still_matches(api: Api, desk: Desk) -> None:
    sample = capture(desk.fake.customer_writes("Hello"))
    desk.clock.now += 86_400
    finding = find(api.check(desk.router(), sample=sample + b"\n"), "webhook secret")
    assert finding.status == "ok"
    assert ("too old" in finding.detail) is (desk.name in ("zendesk", "front", "crisp"))


def test_an_adapter_that_is_not_based_on_ours_is_not_checked(api: Api) -> None:
    desk = IntercomDesk()

    class Foreign:
        """Delegates to an adapter without inheriting from it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(desk.adapter(), name)

    vendor: Any = Foreign()
    assert check(api, desk.router(vendor=vendor))["credentials"] == "skipped"


# Broken set-ups


UNKNOWN_TEAMS = {"front": "inb_0", "crisp": "00000000-0000-4000-8000-ffffffffffff"}


@pytest.mark.parametrize("name", list(DESKS))
def test_a_team_that_does_not_exist_is_named_with_those_that_do(api: Api, name: str) -> None:
    desk = DESKS[name]()
    unknown = UNKNOWN_TEAMS.get(name, "4711")
    finding = find(api.check(desk.router(buckets=only(Assign(team=unknown)))), "teams")
    assert finding.status == "failed"
    assert f"does not have {unknown}." in finding.detail
    for id_, label in desk.fake.teams.items():
        assert f"{id_} ({label})" in finding.detail


@pytest.mark.parametrize("name", list(DESKS))
def test_a_user_that_does_not_exist_is_named(api: Api, name: str) -> None:
    desk = DESKS[name]()
    unknown = {"front": "tea_0", "crisp": "00000000-0000-4000-8000-ffffffffffff"}.get(name, "4711")
    finding = find(api.check(desk.router(buckets=only(Assign(user=unknown)))), "users")
    assert (finding.status, unknown in finding.detail) == ("failed", True)


@pytest.mark.parametrize("name", [name for name in DESKS if name != "crisp"])
def test_a_field_that_does_not_exist_is_named(api: Api, name: str) -> None:
    desk = DESKS[name]()
    finding = find(api.check(desk.router(buckets=only(SetFields({"4711": "y"})))), "fields")
    assert finding.status == "failed"
    assert (
        f"{desk.adapter().title} does not have 4711. Correct the policy, or create what is missing." in finding.detail
    )


def test_credentials_that_are_rejected_are_named(api: Api, desk: Desk) -> None:
    wrong: Mapping[str, dict[str, str]] = {
        "intercom": {"access_token": "wrong"},
        "zendesk": {"client_secret": "wrong"},
        "front": {"api_token": "wrong"},
        "helpscout": {"app_secret": "wrong"},
        "crisp": {"key": "wrong"},
    }
    router = desk.router(vendor=desk.adapter(**wrong[desk.name]))
    findings = api.check(router)
    finding = find(findings, "credentials")
    (setting,) = wrong[desk.name]
    assert finding.status == "failed"
    assert setting in finding.detail
    assert "wrong" not in finding.detail.replace(f"{setting} is wrong", "")
    assert "teams" not in {finding.name for finding in findings}, "every other call would fail, too"


def test_a_help_desk_that_cannot_be_reached_is_named(api: Api, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTime(monkeypatch)
    desk.fake.fail(refused=True, times=None)
    findings = api.check(desk.router())
    assert "no response" in find(findings, "credentials").detail
    assert find(findings, "clock").status == "skipped"


@pytest.mark.parametrize(
    ("desk_type", "settings", "cause"),
    [
        (
            IntercomDesk,
            {"admin_id": "4711"},
            "The workspace has no teammate 4711. Set admin_id to the id of a teammate",
        ),
        (IntercomDesk, {"workspace_id": "other"}, "belongs to workspace abc123de, but workspace_id is other"),
        (
            IntercomDesk,
            {"region": "eu", "base_url": None},
            "The workspace is hosted in the region us, but region is eu: set it to us.",
        ),
        (ZendeskDesk, {"user_id": "9002"}, "belong to user 9001, but user_id is 9002"),
        (FrontDesk, {"author_id": "tea_0"}, "The teammate tea_0 does not exist"),
        (FrontDesk, {"company_id": "cmp_0"}, "but company_id is cmp_0"),
        (HelpScoutDesk, {"user_id": "634102"}, "belongs to user 771000, but user_id is 634102"),
    ],
)
def test_a_setting_that_does_not_fit_the_account_is_named(
    api: Api, desk_type: Callable[[], Desk], settings: dict[str, str], cause: str
) -> None:
    desk = desk_type()
    finding = find(api.check(desk.router(vendor=desk.adapter(**settings))), "credentials")
    assert finding.status == "failed"
    assert cause in finding.detail


@pytest.mark.parametrize(
    ("settings", "name", "problem"),
    [
        ({"channel_id": "cha_1in", "inboxes": ["inb_1in"]}, "channels", None),
        ({"channel_id": "cha_0"}, "channels", "Front does not have cha_0. Correct channel_id, or create"),
        ({"inboxes": ["inb_1in", "inb_0"]}, "inboxes", "Front does not have inb_0. Correct inboxes, or create"),
    ],
)
def test_a_channel_or_an_inbox_of_front_that_does_not_exist_is_named(
    api: Api, settings: dict[str, Any], name: str, problem: str | None
) -> None:
    desk = FrontDesk()
    finding = find(api.check(desk.router(vendor=desk.adapter(**settings))), name)
    assert finding.status == ("failed" if problem else "ok")
    assert problem is None or problem in finding.detail


@pytest.mark.parametrize(
    ("user", "cause"),
    [
        ({"id": None, "role": "end-user"}, "Zendesk does not recognize the credentials"),
        ({"id": 9001, "role": "end-user"}, "User 9001 is an end-user and cannot write"),
        ({"id": 9001, "role": "agent", "suspended": True}, "User 9001 is suspended and cannot write"),
        ({"id": 9001}, "User 9001 is without a role and cannot write"),
    ],
)
def test_a_user_of_zendesk_that_may_not_write_is_named(api: Api, user: dict[str, Any], cause: str) -> None:
    desk = ZendeskDesk()
    answer(desk, "GET /api/v2/users/me", {"user": user})
    assert cause in find(api.check(desk.router()), "credentials").detail


def test_a_teammate_of_front_that_is_blocked_is_named(api: Api) -> None:
    desk = FrontDesk()
    answer(desk, "GET /teammates", {"_results": [{"id": "tea_9001", "is_blocked": True}, {"id": "tea_9002"}]})
    detail = find(api.check(desk.router()), "credentials").detail
    assert "The teammate tea_9001 is blocked" in detail
    assert detail.endswith("Set author_id to one of: tea_9002.")


def test_crisp_needs_no_scope_for_operators(api: Api) -> None:
    desk = CrispDesk()
    desk.fake.fail("GET /v1/website/*/operators/list", status=403, code="not_allowed", times=None)
    assert check(api, desk.router())["credentials"] == "ok"
    statuses = check(api, desk.router(buckets=only(Assign(user=desk.human))))
    assert statuses["users"] == "skipped", "the token may not list them"


def test_segments_and_tags_that_represent_teams_are_not_looked_up(api: Api) -> None:
    for desk, settings in ((CrispDesk(), {"teams": "segments"}), (FrontDesk(), {"teams": "tags"})):
        router = desk.router(vendor=desk.adapter(**settings), buckets=only(Assign(team="vip"), Tag("a"), Close()))
        statuses = check(api, router)
        assert (statuses["teams"], statuses["tags"]) == ("skipped", "skipped")


def test_groups_on_later_pages_of_zendesk_are_found(api: Api) -> None:
    desk = ZendeskDesk()
    more = {"meta": {"has_more": True, "after_cursor": "a b"}}
    answer(desk, "GET /api/v2/groups/assignable", {"groups": [{"id": 1}], **more}, times=1)
    answer(desk, "GET /api/v2/groups/assignable", {"groups": [{"id": 4711, "name": "Late"}]})
    assert check(api, desk.router(buckets=only(Assign(team="4711"))))["teams"] == "ok"
    answered = [call for call in desk.fake.calls if call.path == "/api/v2/groups/assignable"]
    assert [call.query.get("page[after]") for call in answered] == [None, "a b"]


def test_a_list_of_zendesk_without_end_is_not_read_forever(api: Api) -> None:
    desk = ZendeskDesk()
    desk.fake.rate_limit = None
    more = {"meta": {"has_more": True, "after_cursor": "next"}}
    answer(desk, "GET /api/v2/groups/assignable", {"groups": [{"id": 1}], **more})
    assert check(api, desk.router(buckets=only(Assign(team="4711"))))["teams"] == "failed"
    assert len([call for call in desk.fake.calls if call.path == "/api/v2/groups/assignable"]) == 20


def test_an_end_user_of_zendesk_is_not_an_assignee(api: Api) -> None:
    desk = ZendeskDesk()
    answer(desk, "GET /api/v2/users/4711", {"user": {"id": 4711, "role": "end-user"}})
    assert check(api, desk.router(buckets=only(Assign(user="4711"))))["users"] == "failed"
    desk = ZendeskDesk()
    desk.fake.fail("GET /api/v2/users/4711", status=403, times=None)
    assert check(api, desk.router(buckets=only(Assign(user="4711"))))["users"] == "skipped"


def test_inboxes_on_later_pages_of_crisp_are_found(api: Api) -> None:
    desk = CrispDesk()
    late = "00000000-0000-4000-8000-ffffffffffff"
    answer(desk, "GET /v1/website/*/inboxes/list/2", {"data": [{"inbox_id": late, "name": "Late"}]})
    assert check(api, desk.router(buckets=only(Assign(team=late))))["teams"] == "ok"


def test_a_list_of_crisp_without_end_is_not_read_forever(api: Api) -> None:
    desk = CrispDesk()
    desk.fake.rate_limit = None
    for number in range(1, 30):
        data = {"data": [{"inbox_id": f"inbox-{number}"}]}
        answer(desk, f"GET /v1/website/*/inboxes/list/{number}", data)
    assert check(api, desk.router())["teams"] == "failed"
    assert len([call for call in desk.fake.calls if "/inboxes/list/" in call.path]) <= 20


def test_an_adapter_without_optional_checks_is_not_checked(api: Api) -> None:
    class Plain(Intercom):
        check_user = HelpDesk.check_user
        find_teams = HelpDesk.find_teams  # type: ignore[assignment]  # the base class may return None
        find_users = HelpDesk.find_users  # type: ignore[assignment]  # likewise
        find_tags = HelpDesk.find_tags
        find_fields = HelpDesk.find_fields  # type: ignore[assignment]  # likewise

    desk = IntercomDesk()
    actions = only(Assign(team="1"), Assign(user="1"), Tag("a"), SetFields({"x": "y"}))
    findings = api.check(desk.router(vendor=Plain(**desk.settings()), buckets=actions), with_classifier=False)
    assert find(findings, "credentials").detail.startswith("not checked")
    statuses = {finding.name: finding.status for finding in findings}
    assert [statuses[name] for name in ("teams", "users", "tags", "fields")] == ["skipped"] * 4


def test_a_list_that_cannot_be_read_is_named(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTime(monkeypatch)
    desk = IntercomDesk()
    desk.fake.fail("GET /teams", status=500, times=None)
    finding = find(api.check(desk.router()), "teams")
    assert finding.status == "failed"
    assert finding.detail.startswith("they cannot be read: intercom: GET /teams")


def test_a_wrong_webhook_secret_is_named(api: Api, desk: Desk) -> None:
    sample = capture(desk.fake.customer_writes("Hello"))
    setting = desk.adapter().signing_setting()
    other = "a-different-secret-of-the-same-account"
    finding = find(api.check(desk.router(vendor=desk.adapter(**{setting: other})), sample=sample), "webhook secret")
    assert finding.status == "failed"
    assert "Compare the secret in the settings with the one that the help desk shows" in finding.detail
    assert other not in finding.detail


@pytest.mark.parametrize(("seconds", "direction"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_wrong_clock_is_named(api: Api, desk: Desk, seconds: float, direction: str) -> None:
    router = desk.router(clock=lambda: desk.clock() + seconds)
    finding = find(api.check(router), "clock")
    assert finding.status == "failed"
    assert f"3600 s {direction} the help desk's" in finding.detail
    assert "Synchronize this machine's clock" in finding.detail


@pytest.mark.parametrize(("date", "status"), [(None, "ok"), ("soon", "skipped"), ("UTC", "ok")])
def test_the_time_of_a_response_may_have_another_form(api: Api, date: str | None, status: str) -> None:
    desk = IntercomDesk()
    forms = {None: formatdate(desk.clock(), usegmt=True), "UTC": formatdate(desk.clock())}
    desk.fake.fail(status=200, body=b"{}", headers={"Date": forms.get(date, "soon")}, times=None)
    assert check(api, desk.router())["clock"] == ("skipped" if status == "skipped" else "ok")


def test_a_model_that_does_not_exist_is_named(api: Api) -> None:
    fake = FakeClaude()
    with fake.serve() as url:
        fake.fail(status=404, times=2)
        classifier = Claude(api_key="sk-ant-test")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANTHROPIC_BASE_URL", url)
            finding = find(api.check(IntercomDesk().router(classifier=classifier)), "classifier")
    assert finding.status == "failed"
    assert "404" in finding.detail
    assert "Check the classifier's key, model and settings" in finding.detail


def test_a_missing_key_is_named(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    finding = find(api.check(IntercomDesk().router(classifier=Claude())), "classifier")
    assert finding.status == "failed"
    assert "set ANTHROPIC_API_KEY" in finding.detail


def test_the_cost_of_the_check_is_reported(api: Api) -> None:
    fake = FakeClaude()
    with fake.serve() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_BASE_URL", url)
        finding = find(api.check(IntercomDesk().router(classifier=Claude(api_key="sk-ant-test"))), "classifier")
    assert finding.status == "ok"
    assert " USD" in finding.detail


def test_an_inbox_that_cannot_be_written_is_named(api: Api, tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    router = IntercomDesk().router(inbox=inbox)
    inbox._execute("DROP TABLE triage_limits", {})
    finding = find(api.check(router), "inbox")
    assert finding.status == "failed"
    assert "no such table" in finding.detail
    assert "Check the disk, the permissions and the address" in finding.detail
    inbox.close()


def test_a_missing_worker_is_named(api: Api) -> None:
    desk = IntercomDesk()
    inbox = MemoryInbox(clock=desk.clock)
    router = desk.router(inbox=inbox)
    finding = find(api.check(router), "worker")
    assert finding.status == "failed"
    assert finding.detail == (
        "A worker of 'intercom' was never seen. Start one: Worker(router).start() in the application, or `triage work "
        "module:router`."
    )
    inbox.record_heartbeat("intercom")
    webhook = desk.fake.customer_writes("Hello")
    router.handle(webhook.body, webhook.headers)
    desk.clock.now += 120
    detail = find(api.check(router), "worker").detail
    assert "was last seen 120 s ago, and an event has waited 120 s" in detail


# Samples


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        (b"", "must contain the headers"),
        (b"A: 1", "must contain the headers"),
        (b"A: 1\r\n\r\n", "must contain the headers"),
        (b"\n\n{}", "must contain the headers"),
        (b"A: 1\nhello\n\n{}", "Line 2 of the sample is not a header"),
        (b'{"a": 1}\n\n{}', None),
        (b"hello\n\n{}", "Line 1 of the sample is not a header"),
    ],
)
def test_a_sample_must_consist_of_headers_and_a_body(api: Api, sample: bytes, problem: str | None) -> None:
    finding = find(api.check(IntercomDesk().router(), sample=sample), "webhook secret")
    assert finding.status == "failed"
    assert problem is None or problem in finding.detail


def test_a_sample_is_split_into_headers_and_body() -> None:
    headers, body = parse_sample(b"POST / HTTP/1.1\r\nA: 1\r\nB:2:3\r\n\r\n{\n\n}")
    assert (headers, body) == ({"A": "1", "B": "2:3"}, b"{\n\n}")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sample_or_a_mistake(sample: bytes) -> None:
    try:
        headers, body = parse_sample(sample)
    except ConfigurationError:
        return
    assert headers
    assert body
