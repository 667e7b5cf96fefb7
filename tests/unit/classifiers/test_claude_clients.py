"""The clients of a `Claude`: which one is used, and the time limits of each attempt."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from tests.helpers.claude import BUCKETS, CHARGED, GOOD, Ask, build_content
from triage import ConfigurationError, Verdict
from triage.classifiers import Claude
from triage.classifiers.base import AsyncOnlyError
from triage.testing import FakeClaude

# One client for sync and async code


@pytest.fixture
def gateway() -> FakeClaude:
    """A second server, for a client that the user passes in. Nothing may bypass it."""
    return FakeClaude(lambda request: GOOD)


def test_async_code_uses_a_sync_client_that_was_passed_in(
    server: FakeClaude, gateway: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    with gateway.serve() as url:
        claude = Claude(client=anthropic.Anthropic(api_key="k", base_url=url))
        claude.warm_up()
        verdict = asyncio.run(claude.classify_async(CHARGED, BUCKETS))
    assert (verdict.bucket, len(gateway.calls), len(server.calls)) == ("billing", 1, 0)


def test_sync_code_cannot_use_an_async_client(server: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    claude = Claude(async_client=anthropic.AsyncAnthropic(api_key="k", base_url="http://127.0.0.1:1"))
    with pytest.raises(AsyncOnlyError, match="pass client= as well, or call handle_async"):
        claude.classify(CHARGED, BUCKETS)
    assert server.calls == []


def test_warming_up_creates_no_client_beside_one_that_was_passed_in() -> None:
    Claude(async_client=anthropic.AsyncAnthropic(api_key="k")).warm_up()
    Claude(client=anthropic.Anthropic(api_key="k")).warm_up()


def test_an_api_key_and_a_client_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="api_key has no effect on a client"):
        Claude(api_key="k", client=anthropic.Anthropic(api_key="k"))
    with pytest.raises(ConfigurationError, match="api_key has no effect on a client"):
        Claude(api_key="k", async_client=anthropic.AsyncAnthropic(api_key="k"))


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_creates_the_clients(gateway: FakeClaude, *, is_async: bool) -> None:
    created: list[Any] = []
    with gateway.serve() as url:

        def create() -> Any:
            created.append(anthropic.Anthropic(api_key="k", base_url=url))
            return created[-1]

        def create_async() -> Any:
            created.append(anthropic.AsyncAnthropic(api_key="k", base_url=url))
            return created[-1]

        async def classify() -> None:
            claude = Claude(async_client=create_async)
            claude.warm_up()
            for _ in range(2):
                assert (await claude.classify_async(CHARGED, BUCKETS)).bucket == "billing"
            await claude.aclose()

        if is_async:
            asyncio.run(classify())
        else:
            claude = Claude(client=create)
            claude.warm_up()
            assert claude.classify(CHARGED, BUCKETS).bucket == "billing"
            assert asyncio.run(claude.classify_async(CHARGED, BUCKETS)).bucket == "billing"
            claude.close()
    assert (len(created), len(gateway.calls)) == (1, 2)


def _fail() -> Any:
    raise KeyError("secret")


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (_fail, r"Claude\(client=…\): the function that creates the client raised KeyError at "),
        (lambda: None, "the function returned no client"),
        (lambda: anthropic.AsyncAnthropic(api_key="k"), "client must be an anthropic.Anthropic, not AsyncAnthropic"),
        (lambda: "client", "client must be an anthropic.Anthropic, not str"),
    ],
)
def test_a_function_that_creates_no_client_is_reported(create: Callable[[], Any], message: str) -> None:
    claude = Claude(client=create)
    with pytest.raises(ConfigurationError, match=message) as caught:
        claude.warm_up()
    assert "secret" not in str(caught.value)
    assert claude.classify(CHARGED, BUCKETS).reason == str(caught.value)


@pytest.mark.parametrize("key", ["sk-ant-test\n", '"sk-ant-test"', " sk-ant-test"])
def test_white_space_and_quotes_around_the_key_are_removed(
    server: FakeClaude, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    server.answer = lambda request: GOOD
    assert Claude(api_key=key).classify(CHARGED, BUCKETS).bucket == "billing"
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    assert Claude().classify(CHARGED, BUCKETS).bucket == "billing"


def test_the_key_is_read_from_a_file(server: FakeClaude, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-ant-test\n")
    server.answer = lambda request: GOOD
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(tmp_path / "key"))
    assert Claude().classify(CHARGED, BUCKETS).bucket == "billing"
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", "/no/such/file")
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY_FILE: /no/such/file cannot be read"):
        Claude().warm_up()


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://u:hunter2@127.0.0.1:1"), ("HTTPS_PROXY", "socks://u:hunter2@127.0.0.1:1")],
)
def test_a_proxy_that_cannot_be_used_is_reported_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    classifier = Claude(api_key="k")
    monkeypatch.setenv(name, value)
    for create in (lambda: Claude(api_key="k"), classifier.warm_up):
        with pytest.raises(ConfigurationError, match=f"Claude's client cannot be created .*: check {name}") as caught:
            create()
        assert "hunter2" not in str(caught.value)
    Claude(client=lambda: anthropic.Anthropic(api_key="k"))  # the environment does not matter


# Time limits


def measure_timeouts(**settings: Any) -> dict[str, float]:
    """Return the time limits with which the SDK sends the request of a sync classification."""
    timeouts: list[dict[str, float]] = []
    client_settings = settings.pop("client_settings", {})

    def answer(request: httpx2.Request) -> httpx2.Response:
        timeouts.append(request.extensions["timeout"])
        return httpx2.Response(200, json={"stop_reason": "end_turn", **build_content(GOOD)})

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    claude = Claude(client=anthropic.Anthropic(api_key="k", http_client=http, **client_settings), **settings)
    claude._clock = lambda: 0.0
    assert claude.classify(CHARGED, BUCKETS).bucket == "billing"
    (timeout,) = timeouts
    return timeout


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 10),
        ({"deadline": 5}, 5),
        ({"deadline": 60}, 40),
        ({"deadline": 60, "fallback_model": "claude-sonnet-5-5"}, 40),
        ({"deadline": 60, "attempt_timeout": 7}, 7),
        ({"deadline": 60, "attempt_timeout": 60}, 60),
        ({"deadline": 60, "client_settings": {"timeout": 50}}, 50),
        ({"deadline": 25, "client_settings": {"timeout": 60}}, 25),
        ({"deadline": 25, "client_settings": {"timeout": None}}, 25),
        ({"deadline": 25, "client_settings": {"timeout": 3}}, 3),
        ({"deadline": 25, "attempt_timeout": 20, "client_settings": {"timeout": 3}}, 3),
        ({"deadline": 25, "attempt_timeout": 4, "client_settings": {"timeout": 9}}, 4),
    ],
)
def test_the_time_limit_of_an_attempt_follows_from_the_settings(settings: dict[str, Any], seconds: float) -> None:
    assert measure_timeouts(**settings)["read"] == pytest.approx(seconds)


def test_the_phases_of_a_request_keep_the_limits_of_the_client() -> None:
    timeout = anthropic.Timeout(None, connect=2, read=9)
    assert measure_timeouts(deadline=5, client_settings={"timeout": timeout}) == {
        "connect": 2,
        "read": 5,
        "write": 5,
        "pool": 5,
    }


def test_a_connection_is_opened_within_the_limit_of_the_sdk() -> None:
    assert measure_timeouts(deadline=60)["connect"] == 5


def test_an_attempt_that_exceeds_its_limit_is_repeated(ask_both: Ask) -> None:
    ask_both.fake.fail(stall=True)
    assert ask_both(attempt_timeout=0.1).bucket == "billing"
    assert len(ask_both.fake.calls) == 2


def test_an_answer_that_takes_most_of_the_deadline_is_used(ask_both: Ask) -> None:
    def answer_late(request: Any) -> Any:
        ask_both.time.now += 11
        return GOOD

    ask_both.fake.answer = answer_late
    verdict = ask_both(deadline=25)
    assert (verdict.bucket, len(ask_both.fake.calls)) == ("billing", 1)
    assert verdict.latency == 11


@pytest.mark.parametrize(
    "make",
    [
        lambda: Claude(attempt_timeout=0),
        lambda: Claude(attempt_timeout=-1),
        lambda: Claude(attempt_timeout=float("nan")),
        lambda: Claude(attempt_timeout=float("inf")),
        lambda: Claude(deadline=5, attempt_timeout=10),
    ],
)
def test_an_invalid_time_limit_is_rejected(make: Callable[[], Claude]) -> None:
    with pytest.raises(ConfigurationError, match="attempt_timeout must be a positive number of seconds within"):
        make()


# The kinds of reasons


def get_kind(verdict: Verdict) -> tuple[str | None, float | None]:
    return verdict.fallback_reason, verdict.retry_after


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ({"stop_reason": "refusal", "content": []}, ("refused", None)),
        ({"status": 400}, ("unavailable", None)),
        ({"status": 401}, ("unavailable", None)),
        ({"status": 403}, ("unavailable", None)),
        ({"status": 429, "headers": {"retry-after": "20"}}, ("unavailable", 20.0)),
        ({"status": 429, "headers": {"retry-after-ms": "20500"}}, ("unavailable", 20.5)),
        ({"status": 529, "times": 50}, ("unavailable", None)),
        ({"drop": True, "times": 50}, ("unavailable", None)),
        ({"stop_reason": "max_tokens", "times": 2}, ("invalid_answer", None)),
        ({"stop_reason": "model_context_window_exceeded"}, ("invalid_answer", None)),
        ({"body": b"<html>", "headers": {"Content-Type": "text/html"}}, ("invalid_answer", None)),
        ({"body": b"{no json"}, ("invalid_answer", None)),
        (build_content("no JSON"), ("invalid_answer", None)),
        (build_content({**GOOD, "label": "vip"}), ("invalid_answer", None)),
    ],
    ids=str,
)
def test_a_fallback_verdict_says_why_there_is_none(
    ask_both: Ask, failure: dict[str, Any], kind: tuple[str, float | None]
) -> None:
    ask_both.fake.fail(**failure)
    assert get_kind(ask_both()) == kind


def test_a_verdict_has_no_fallback_reason(ask: Ask) -> None:
    assert get_kind(ask()) == (None, None)


def test_a_passed_deadline_means_that_claude_is_unavailable(ask: Ask) -> None:
    ask.time.step = 6.0
    assert get_kind(ask(deadline=5)) == ("unavailable", None)


def test_a_missing_key_means_that_claude_is_unavailable() -> None:
    assert get_kind(Claude().classify(CHARGED, BUCKETS)) == ("unavailable", None)


# Event loops that end


def test_leaving_a_loop_closes_the_async_client_and_keeps_the_sync_one(
    server: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    claude = Claude()
    claude.classify(CHARGED, BUCKETS)
    sync_client = claude._clients.get()

    async def classify_and_leave() -> tuple[bool, bool]:
        await claude.classify_async(CHARGED, BUCKETS)
        client: Any = claude._clients.get_async()
        await claude.leave_loop()
        await claude.leave_loop()
        return client.is_closed(), claude._clients.get() is sync_client

    assert asyncio.run(classify_and_leave()) == (True, True)
    claude.close()
