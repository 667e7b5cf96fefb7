"""The adapter in docs/adding-a-vendor.md, made by following the page, keeps what the Router promises."""

import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from tests.helpers.api import Api
from tests.helpers.paths import DOCS
from triage import Action, Assign, Bucket, Close, ConfigurationError, Note, Outcome, Reply, Router, Tag

PAGE = DOCS / "adding-a-vendor.md"


@pytest.fixture(scope="module")
def tinydesk() -> Any:
    """The class of the page's first block."""
    document = Document.parse(str(PAGE), PythonCodeBlockParser())
    next(iter(document.examples())).evaluate()
    return document.namespace["Tinydesk"]


class Desk:
    """Tinydesk's API, with a memory."""

    def __init__(self) -> None:
        self.messages = [{"id": "1", "from": "customer", "text": "I was charged twice"}]
        self.conversation: dict[str, Any] = {"name": "Mira", "assignee": None, "tags": [], "open": True}
        self.lose_answer = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer token"
        sent = json.loads(request.content or b"null")
        match request.method, request.url.path:
            case "POST", "/conversations/5/messages":
                self.messages.append({"id": str(len(self.messages) + 1), "from": "bot-1", **sent})
                if self.lose_answer:
                    raise httpx.ReadTimeout("lost", request=request)
            case "PATCH", "/conversations/5":
                self.conversation["tags"] += sent.pop("add_tags", [])
                self.conversation |= sent
            case "GET", "/conversations/5":
                pass
            case _:
                return httpx.Response(404, json={"code": "not_found"})
        return httpx.Response(200, json=self.conversation | {"messages": self.messages})


def handle(
    tinydesk: Any, api: Api, desk: Desk, *actions: Action, conversation: str = "5", forged: bool = False
) -> Outcome:
    transport = httpx.MockTransport(desk)
    router = Router(
        tinydesk(secret="s3cret", token="token", bot="bot-1"),
        buckets=[Bucket("general", "Everything.", actions)],
        classifier=lambda text: "general",
        http=httpx.Client(transport=transport),
        async_http=httpx.AsyncClient(transport=transport),
    )
    message = {"id": "1", "from": "customer", "text": "I was charged twice"}
    body = json.dumps({"event": "message.received", "conversation": conversation, "message": message}).encode()
    signature = hmac.new(b"wrong" if forged else b"s3cret", body, hashlib.sha256).hexdigest()
    outcome = api.handle(router, body, {"X-Tinydesk-Signature": signature}).outcome
    assert outcome is not None
    return outcome


def test_it_takes_every_action_that_it_declares(tinydesk: Any, api: Api) -> None:
    desk = Desk()
    outcome = handle(tinydesk, api, desk, Close(), Assign(user="8"), Reply("Hi"), Tag("a", "b"))
    assert [str(step) for step in outcome.steps] == ["assign:done", "reply:done", "tag:done", "close:done"]
    assert desk.conversation == {"name": "Mira", "assignee": "8", "tags": ["a", "b"], "open": False}
    assert desk.messages[-1]["text"] == "Hi"


def test_what_it_lacks_is_refused_with_what_to_use_instead(tinydesk: Any, api: Api) -> None:
    with pytest.raises(ConfigurationError, match=r"no internal notes\. Use Tag"):
        handle(tinydesk, api, Desk(), Note("x"))
    with pytest.raises(ConfigurationError, match="Set it"):
        tinydesk(secret=" ", token="token", bot="bot-1")


def test_nobody_is_let_in_and_nothing_is_done_twice(tinydesk: Any, api: Api) -> None:
    desk = Desk()
    assert handle(tinydesk, api, desk, Reply("Hi"), forged=True).status == "refused"
    assert handle(tinydesk, api, desk, Reply("Hi"), conversation="5/../6").status == "malformed"
    handle(tinydesk, api, desk, Reply("Hi"))
    again = handle(tinydesk, api, desk, Reply("Hi"))
    assert [str(step) for step in again.steps] == ["reply:skipped"]
    assert len(desk.messages) == 2


def test_a_reply_whose_answer_was_lost_is_found(tinydesk: Any, api: Api) -> None:
    desk = Desk()
    desk.lose_answer = True
    assert [str(step) for step in handle(tinydesk, api, desk, Reply("Hi")).steps] == ["reply:done"]
    assert len(desk.messages) == 2


def test_an_error_tells_what_the_vendor_said(tinydesk: Any, api: Api) -> None:
    outcome = handle(tinydesk, api, Desk(), Close(), conversation="6")
    assert outcome.reason == "tinydesk: GET /conversations/6: refused (status 404, code not_found)"
