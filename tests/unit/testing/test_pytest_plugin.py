"""The pytest plugin: fakes and webhooks as fixtures, and live tests."""

import anthropic  # noqa: F401 - otherwise each run of pytest would import it anew
import pytest

from tests.helpers.pytester import run_pytest

DESKS = pytest.mark.parametrize("name", ["Crisp", "Front", "HelpScout", "Intercom", "Zendesk"])
"""The names of the adapters. That of the fixture is the same in lower case."""


@DESKS
def test_a_router_from_the_environment_calls_the_fake(pytester: pytest.Pytester, name: str) -> None:
    pytester.makepyfile(
        f"""
        from contextlib import closing

        from triage import Router
        from triage.classifiers import Rules
        from triage.vendors import {name}

        def test_billing(fake_{name.lower()}):
            webhook = fake_{name.lower()}.customer_writes("Please refund my invoice.")
            with closing(Router.from_env({name}, classifier=Rules.default())) as router:
                assert router.handle(webhook.body, webhook.headers).outcome.status == "routed"
            assert len(fake_{name.lower()}.replies(webhook.conversation_id)) == 1
        """
    )
    run_pytest(pytester).assert_outcomes(passed=1)


def test_claude_calls_the_fake(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from contextlib import closing

        from triage import Buckets, Conversation, Message
        from triage.classifiers import Claude

        def test_spam(fake_claude):
            fake_claude.answer = lambda request: {"reason": "", "label": "spam", "confidence": 1}
            message = Message(id="1", role="customer", text="Hello")
            with closing(Claude()) as claude:
                verdict = claude.classify(Conversation(id="1", messages=(message,)), Buckets.default())
            assert verdict.bucket == "spam"
            assert len(fake_claude.requests) == 1
        """
    )
    run_pytest(pytester).assert_outcomes(passed=1)


def test_the_fake_replaces_the_environment_for_the_test_only(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERCOM_TOPICS", "ticket.created")
    pytester.makepyfile(
        """
        import os

        def test_with_the_fake(fake_intercom):
            assert "INTERCOM_TOPICS" not in os.environ
            assert os.environ["INTERCOM_ACCESS_TOKEN"] == fake_intercom.access_token

        def test_without():
            assert os.environ["INTERCOM_TOPICS"] == "ticket.created"
            assert "INTERCOM_ACCESS_TOKEN" not in os.environ
        """
    )
    run_pytest(pytester).assert_outcomes(passed=2)


def test_the_fake_is_reached_without_a_proxy(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    pytester.makepyfile(
        """
        import os

        import httpx

        def test_me(fake_intercom):
            headers = {"Authorization": f"Bearer {fake_intercom.access_token}"}
            assert httpx.get(f"{os.environ['INTERCOM_BASE_URL']}/me", headers=headers).status_code == 200
        """
    )
    run_pytest(pytester).assert_outcomes(passed=1)


@DESKS
def test_a_signed_webhook_belongs_to_a_conversation_of_the_fake(pytester: pytest.Pytester, name: str) -> None:
    pytester.makepyfile(
        f"""
        from contextlib import closing

        from triage import Router
        from triage.classifiers import Rules
        from triage.vendors import {name}

        def test_billing(signed_webhook, fake_{name.lower()}):
            webhook = signed_webhook("{name.lower()}", text="Please refund my invoice.")
            forged = signed_webhook("{name.lower()}", secret="another secret")
            with closing(Router.from_env({name}, classifier=Rules.default())) as router:
                assert router.handle(webhook.body, webhook.headers).outcome.status == "routed"
                assert router.handle(forged.body, forged.headers).status_code == 401
            assert len(fake_{name.lower()}.replies(webhook.conversation_id)) == 1
        """
    )
    run_pytest(pytester).assert_outcomes(passed=1)


@DESKS
def test_a_webhook_is_signed_with_the_secret_of_the_fake_that_the_test_does_not_use(
    pytester: pytest.Pytester, name: str
) -> None:
    pytester.makepyfile(
        f"""
        import time

        from triage.models import Delivery, Event
        from triage.testing import Fake{name}

        def test_billing(signed_webhook):
            webhook = signed_webhook("{name.lower()}")
            delivery = Delivery.create(webhook.body, webhook.headers, time.time())
            adapter = Fake{name}().adapter()
            adapter.verify(delivery)
            assert isinstance(adapter.parse(delivery), Event)
        """
    )
    run_pytest(pytester).assert_outcomes(passed=1)


def test_live_tests_run_only_if_they_are_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.triage_live
        def test_live():
            pass

        def test_other():
            pass
        """
    )
    result = run_pytest(pytester, "-rs", "--strict-markers")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*it is live: run pytest --triage-live"])
    run_pytest(pytester, "--triage-live").assert_outcomes(passed=2)


def test_the_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    output = run_pytest(pytester, "--fixtures").stdout.str()
    section = output.partition("fixtures defined from triage")[2].partition("----- fixtures")[0]
    desks = ("crisp", "front", "helpscout", "intercom", "zendesk")
    for name in ("fake_claude", "signed_webhook", "triage_eval", *(f"fake_{desk}" for desk in desks)):
        assert f"\n{name} -- " in section
    assert "no docstring available" not in section
    assert "_triage_network" not in section
