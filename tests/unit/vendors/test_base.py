"""The base class of the adapters: the behavior that every adapter inherits."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from triage import (
    Assign,
    Close,
    ConfigurationError,
    MalformedPayload,
    Note,
    Reply,
    SetFields,
    SetPriority,
    Step,
    Tag,
    VendorError,
)
from triage.io.ports import run
from triage.models import Customer, Event, Message, Request, Response
from triage.vendors.base import (
    MOST_MESSAGES,
    Conversation,
    Delivery,
    ErrorFacts,
    HelpDesk,
    Ignored,
    Loose,
    Parsed,
    Payload,
    Plain,
    Secret,
    Send,
    SigningSecret,
    merge_fields,
)
from triage.vendors.oauth import ClientCredentials


class Item(Payload):
    id: str
    messages: Loose[tuple[tuple[str, str], ...]] = None


class Smalldesk(HelpDesk):
    name = "smalldesk"
    title = "Smalldesk"
    api_url = "https://api.smalldesk.example.com/"
    can = frozenset({Assign, Reply, Note, Close})
    instead: ClassVar = {Tag: "it has no tags. Use Note."}
    hints: ClassVar = {401: "check {token}", "locked": "the conversation is locked", "token": "check {secret}"}
    numeric_ids = True

    secret: SigningSecret
    token: Secret = "t"

    @property
    def own_id(self) -> str:
        return "bot"

    def verify(self, delivery: Delivery) -> None:
        return

    def parse(self, delivery: Delivery) -> Parsed:
        return Ignored("always")

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        item = await self.get(Item, f"/conversations/{conversation_id}", send)
        messages = [
            self.build_message(str(number), "note" if author == "note" else "bot", text, author="bot")
            for number, (author, text) in enumerate(item.messages or ())
        ]
        return self.build_conversation(item.id, messages)

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        self.reject(step.actions[0])

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        return ErrorFacts(code=data.get("code"), hint="a guess")


class Patient(Smalldesk):
    appends_signature = True
    delivers_later = True


class Tokens(Smalldesk):
    @property
    def auth(self) -> ClientCredentials:
        return ClientCredentials(f"{self.url}/token", "id", "secret", vendor=self.name)


DESK = Smalldesk(secret="s")


def was_performed(desk: HelpDesk, action: Reply | Note, *messages: tuple[str, str]) -> bool:
    async def send(request: Request) -> Response:
        return Response(200, {}, json.dumps({"id": "1", "messages": messages}).encode())

    before = DESK.build_conversation("1", [DESK.build_message("0", "bot", "Hi", author="bot")])
    return run(desk.was_performed(Step(actions=(action,)), before, send))


def test_a_new_message_with_our_text_was_performed() -> None:
    assert was_performed(DESK, Reply("Hi\n\nthere"), ("bot", "Hi"), ("bot", "Hi there"))
    assert was_performed(DESK, Note("Hi"), ("bot", "Hi"), ("note", "Hi"))
    assert not was_performed(DESK, Reply("Hi"), ("bot", "Hi")), "it was there before"
    assert not was_performed(DESK, Reply("Hi"), ("bot", "Hi"), ("bot", "Hi, Anna")), "another text"
    assert not was_performed(DESK, Reply("Hi"), ("bot", "Hi"), ("note", "Hi")), "another kind of message"


def test_a_vendor_may_append_a_signature_or_deliver_later() -> None:
    desk = Patient(secret="s")
    assert was_performed(desk, Reply("Hi"), ("bot", "Hi"), ("bot", "Hi\n-- \nSupport"))
    with pytest.raises(VendorError, match="may still come"):
        was_performed(desk, Reply("Hi"), ("bot", "Hi"))


def test_a_plan_has_one_step_for_each_action_and_closes_last() -> None:
    steps = DESK.plan([Close(), Reply("Hi"), Note("psst")])
    assert [step.name for step in steps] == ["reply", "note", "close"]


def test_an_action_that_the_vendor_lacks_is_rejected_with_advice() -> None:
    with pytest.raises(ConfigurationError, match=r"Smalldesk has no Tag: it has no tags\. Use Note\."):
        DESK.check(Tag("vip"))
    with pytest.raises(ConfigurationError, match="Smalldesk has no SetPriority: take it out of the policy"):
        run(DESK.perform(Step(actions=(SetPriority("high"),)), Conversation(id="1"), lambda request: NotImplemented))
    with pytest.raises(ConfigurationError, match="Smalldesk's team and user ids are numbers"):
        DESK.check(Assign(team="billing"))


def test_the_last_value_of_a_field_takes_precedence() -> None:
    assert merge_fields([SetFields({"a": 1, "b": 2}), Close(), SetFields({"b": None})]) == {"a": 1, "b": None}


def test_a_request_carries_the_address_and_may_be_repeated_unless_it_is_a_post() -> None:
    request = DESK.request("PUT", "/x", {"a": 1})
    assert (request.url, request.json, request.idempotent) == ("https://api.smalldesk.example.com/x", {"a": 1}, True)
    assert request.headers == {"Accept": "application/json", "Content-Type": "application/json"}
    assert not DESK.request("POST", "/x").idempotent
    assert DESK.request("POST", "/x", idempotent=True).idempotent
    assert not DESK.request("PUT", "/x", idempotent=False).idempotent
    assert Smalldesk(secret="s", base_url="http://proxy:1/").request("GET", "/x").url == "http://proxy:1/x"


@pytest.mark.parametrize(
    ("desk", "path", "status", "body", "hint"),
    [
        (DESK, "/x", 401, b"{}", "check token (SMALLDESK_TOKEN) (status 401)"),
        (DESK, "/x", 401, b'{"code": "locked"}', "the conversation is locked (status 401, code locked)"),
        (DESK, "/x", 404, b"[]", "a guess (status 404)"),
        (Tokens(secret="s"), "/token", 401, b"{}", "check secret (SMALLDESK_SECRET) (status 401)"),
        (Tokens(secret="s"), "/x", 401, b"{}", "check token (SMALLDESK_TOKEN) (status 401)"),
    ],
)
def test_an_error_carries_the_hint_of_its_code_or_status(
    desk: HelpDesk, path: str, status: int, body: bytes, hint: str
) -> None:
    error = desk.error(desk.request("GET", path), Response(status, {"retry-after": "3"}, body), 0.0)
    assert str(error) == f"smalldesk: GET {path}: {hint}"
    assert error.retry_after == 3.0


def test_the_text_of_a_customer_loses_its_quotes_and_pictures_become_attachments() -> None:
    written = DESK.build_message("1", "customer", Plain("Hi\n\n> older", 2), files=["a.pdf"])
    (message,) = DESK.build_conversation("1", [written], is_continued=True).messages
    assert (message.text, message.quoted, message.attachments) == ("Hi", "> older", ("a.pdf", "image", "image"))
    (first,) = DESK.build_conversation("1", [written]).messages
    assert first.text == "Hi\n\n> older", "a first message quotes something else"


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Re: Status", "Thanks"),
        ("Fwd: Status", "Thanks\n\nFrom: a@b.example\nSent: 1.1.2026 10:00\nTo: me@c.example\nSubject: x\n\nDown"),
        ("Status", "Thanks"),
    ],
)
def test_the_subject_says_whether_a_first_message_has_history(subject: str, text: str) -> None:
    body = "Thanks\n\nFrom: a@b.example\nSent: 1.1.2026 10:00\nTo: me@c.example\nSubject: x\n\nDown"
    conversation = DESK.build_conversation("1", [DESK.build_message("1", "customer", body)], subject=subject)
    assert conversation.messages[0].text == text
    assert DESK.build_message("1", "agent", "Hi\n\n> older").text == "Hi\n\n> older"
    assert DESK.build_message("1", "bot", None).text == ""


def test_a_conversation_shows_humans_and_automatic_replies() -> None:
    messages = [DESK.build_message("1", "customer", "Hi"), DESK.build_message("2", "bot", "", author="bot")]
    conversation = DESK.build_conversation("1", messages, assignee="bot", subject=" Hello ")
    assert (len(conversation.messages), conversation.assignee, conversation.subject) == (1, None, "Hello")
    assert not conversation.has_automatic_reply
    replied = DESK.build_conversation("1", [DESK.build_message("2", "bot", "Hi", author="bot")], assignee="7")
    assert (replied.has_automatic_reply, replied.assignee) == (True, "7")


def test_only_the_newest_messages_of_an_endless_conversation_are_kept() -> None:
    desk = Smalldesk(secret="s")
    text = "Thanks!\n\nOn Mon, 2 Nov 2026 at 09:00, Acme <help@acme.example> wrote:\n> Hello"
    messages = [desk.build_message(str(number), "customer", text) for number in range(MOST_MESSAGES + 1)]
    conversation = desk.build_conversation("1", messages)
    assert [message.id for message in conversation.messages] == [str(number + 1) for number in range(MOST_MESSAGES)]
    # Earlier messages exist, so the first one that is kept may have history.
    assert conversation.messages[0].text == "Thanks!"


def test_by_default_an_error_has_no_further_facts() -> None:
    assert HelpDesk.parse_error(DESK, {"code": "locked"}, Response(400, {}, b"")) == ErrorFacts()


def test_an_adapter_without_a_method_cannot_be_created() -> None:
    class Incomplete(HelpDesk):
        name = "incomplete"
        title = "Incomplete"
        can = frozenset({Close})
        secret: SigningSecret

    with pytest.raises(TypeError, match="abstract"):
        Incomplete(secret="s")  # type: ignore[abstract]


def test_a_listed_machine_is_no_human() -> None:
    desk = Smalldesk(secret="s", machines=["9"])
    written = desk.build_message("1", "agent", "We usually answer within minutes.", author="9")
    conversation = desk.build_conversation("1", [written], assignee="9")
    assert (written.role, conversation.assignee) == ("bot", None)


def test_machines_that_are_no_list_are_rejected_with_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match=r"machines must be a list of ids, such as \['7'\], not '9'"):
        Smalldesk(secret="s", machines="9")


# The message of a delivery


class Quickdesk(Smalldesk):
    """Its webhooks contain the text of the message."""

    def read_delivery(self, event: Event) -> Conversation:
        return self.build_conversation("1", [self.build_message("7", "customer", event.raw.decode())])


def add_missing_message(*messages: Message) -> list[str]:
    """Return the texts of a conversation after the message of an event was added."""
    desk = Quickdesk(secret="s")
    event = desk.build_event("1", "7", account="a", kind="created", raw=b"Hello")
    conversation = desk.add_missing_message(event, Conversation(id="1", messages=messages))
    return [message.text for message in conversation.messages]


def test_a_message_is_added_to_a_conversation_that_lacks_it() -> None:
    assert add_missing_message(Message(id="6", role="bot", text="Hi")) == ["Hi", "Hello"]


def test_a_message_that_the_api_shows_empty_is_replaced() -> None:
    assert add_missing_message(Message(id="7", role="customer")) == ["Hello"]


def test_a_message_that_the_api_shows_stays_as_it_is() -> None:
    assert add_missing_message(Message(id="7", role="customer", text="As read")) == ["As read"]
    assert add_missing_message(Message(id="7", role="customer", attachments=("a.pdf",))) == [""]


@pytest.mark.parametrize("message_id", ["", "a b", "7.?", "x" * 201])
def test_an_id_that_no_message_has_is_malformed(message_id: str) -> None:
    with pytest.raises(MalformedPayload, match=r"message_id: string_pattern_mismatch$") as caught:
        Smalldesk(secret="s").build_event("1", message_id, account="a", kind="created", raw=b"{}", event_id="evt_1")
    assert caught.value.event_id == "evt_1"


def test_by_default_a_delivery_shows_no_message_but_its_customer() -> None:
    desk = Smalldesk(secret="s")
    event = desk.build_event("1", "7", account="a", kind="created", raw=b"{}", customer=Customer(id="5"))
    assert desk.read_delivery(event) == Conversation(id="1", customer=Customer(id="5"))
    assert desk.add_missing_message(event, Conversation(id="1")) == Conversation(id="1")


@pytest.mark.parametrize(
    ("received", "stored"), [("evt_1", "evt_1"), (7, "7"), ("a\nb", None), ([], None), (None, None)]
)
def test_an_event_has_the_id_of_its_delivery_if_that_is_safe(received: object, stored: str | None) -> None:
    event = Smalldesk(secret="s").build_event("1", "7", account="a", kind="created", raw=b"{}", event_id=received)
    assert event.event_id == stored
