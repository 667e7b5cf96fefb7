"""Anthropic's SDK logs our requests without customer text, and those of the application as always."""

import logging

import anthropic
import pytest

from tests.helpers.claude import BUCKETS, Ask, conversation
from tests.unit.classifiers.test_claude_batch import Run, run
from triage.classifiers.claude.sdk_log import hide_request
from triage.testing import FakeClaude

__all__ = ["run"]  # a fixture

SECRET = "My card is 4711"


def test_a_request_is_logged_without_customer_text(ask_both: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ask_both(conversation(SECRET))
    assert "Request options: {'method': 'post', 'url': '/v1/messages'" in caplog.text
    assert SECRET not in caplog.text
    assert "sk-ant-test" not in caplog.text


def test_a_batch_is_logged_without_customer_text(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert run(conversation(SECRET))[0].verdict.bucket in BUCKETS.names
    assert "Request options: {'method': 'post', 'url': '/v1/messages/batches'" in caplog.text
    assert SECRET not in caplog.text


def test_the_applications_own_requests_are_logged_as_always(
    ask: Ask, server: FakeClaude, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ask(conversation(SECRET))
    with anthropic.Anthropic(api_key="sk-ant-test") as client:
        client.messages.create(
            model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "my own text"}]
        )
    assert "my own text" in caplog.text


def test_options_of_an_unknown_form_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log = logging.getLogger("anthropic._base_client")
    with hide_request():
        log.debug("Request options: %s", {"content": SECRET})
    assert "Request options: {'options': 'not shown'}" in caplog.text
