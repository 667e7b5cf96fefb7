"""The prompt: which messages the user turn contains, which of them are marked, and what does not fit."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.helpers.claude import Ask, conversation
from triage import Conversation, Message
from triage.classifiers.claude.prompt import MAX_CHARACTERS, build_user_turn

MESSAGE = Message(id="1", role="customer", text="Help")


def build_turn(*messages: Message, **more: Any) -> Any:
    return json.loads(build_user_turn(Conversation(id="c1", messages=messages, **more)))


def get_texts(turn: Any) -> list[str]:
    """Return the beginning of each message, marked with an exclamation mark if it should be classified."""
    return [entry["text"][:6] + "!" * entry.get("classify", False) for entry in turn["messages"]]


def create_messages(*texts: str) -> list[Message]:
    """Return one message for each text, `"customer: Hello"`."""
    pairs = (text.partition(": ") for text in texts)
    return [
        Message.model_validate({"id": str(number), "role": role, "text": text})
        for number, (role, _, text) in enumerate(pairs)
    ]


def test_every_unanswered_message_is_marked() -> None:
    turn = build_turn(*create_messages("customer: hacked", "bot: Thanks", "customer: hello?"))
    assert get_texts(turn) == ["hacked!", "Thanks", "hello?!"]
    assert "classify" not in turn["messages"][1]


def test_messages_that_a_human_has_answered_are_context() -> None:
    turn = build_turn(*create_messages("customer: first", "agent: answer", "customer: second", "customer: third"))
    assert get_texts(turn) == ["first", "answer", "second!", "third!"]


def test_a_file_without_words_is_context() -> None:
    file = Message(id="2", role="customer", attachments=("a.png",))
    assert get_texts(build_turn(MESSAGE, file)) == ["Help!", ""]


def test_a_file_is_classified_if_there_are_no_words() -> None:
    file = Message(id="2", role="customer", attachments=("a.png",))
    assert get_texts(build_turn(file, file)) == ["!", "!"]


def test_an_answered_conversation_is_classified_by_its_last_message() -> None:
    turn = build_turn(*create_messages("customer: first", "customer: second", "agent: answer"))
    assert get_texts(turn) == ["first", "second!", "answer"]


def test_a_conversation_without_messages_consists_of_its_subject() -> None:
    assert build_turn(subject="Help") == {"subject": "Help", "messages": []}


def test_a_message_has_its_time_and_the_names_of_its_attachments() -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    turn = build_turn(MESSAGE.model_copy(update={"at": at, "attachments": ("a.pdf",)}))
    assert turn["messages"] == [
        {
            "from": "customer",
            "text": "Help",
            "at": "2026-11-24T00:00:00+00:00",
            "attachments": ["a.pdf"],
            "classify": True,
        }
    ]


def test_an_automatic_message_is_marked() -> None:
    (entry,) = build_turn(MESSAGE.model_copy(update={"is_automatic": True}))["messages"]
    assert entry["automatic"] is True


def test_a_long_subject_is_shortened() -> None:
    assert len(build_turn(MESSAGE, subject="s" * 600)["subject"]) < 510


# What does not fit

HALF = "x" * (MAX_CHARACTERS // 2)


def test_a_long_thread_loses_its_oldest_context() -> None:
    turn = build_turn(*create_messages("bot: older", f"bot: {HALF}", "agent: answer", "customer: last", f"bot: {HALF}"))
    assert get_texts(turn) == ["answer", "last!", "xxxxxx"]


def test_messages_to_classify_take_precedence_over_newer_context() -> None:
    turn = build_turn(*create_messages("customer: one", f"customer: {HALF}", f"bot: {HALF}", "customer: two"))
    assert get_texts(turn) == ["one!", "xxxxxx!", "two!"]


def test_a_turn_that_is_too_long_keeps_its_first_and_last_messages() -> None:
    messages = create_messages(
        "customer: first", f"customer: {HALF}", f"customer: y{HALF}", "customer: z", "customer: last"
    )
    assert get_texts(build_turn(*messages)) == ["first!", "yxxxxx!", "z!", "last!"]


def test_a_very_long_first_and_last_message_share_the_room() -> None:
    turn = build_turn(*create_messages(f"customer: {HALF * 3}", "customer: middle", f"customer: {HALF * 3}"))
    first, last = turn["messages"]
    assert len(first["text"]) == len(last["text"])
    assert len(first["text"]) + len(last["text"]) < MAX_CHARACTERS + 20


def test_a_short_last_message_leaves_its_room_to_the_first() -> None:
    first, last = build_turn(*create_messages(f"customer: {HALF * 3}", "customer: last"))["messages"]
    assert MAX_CHARACTERS - 10 < len(first["text"]) < MAX_CHARACTERS + 10
    assert last["text"] == "last"


def test_a_very_long_message_loses_its_middle() -> None:
    (entry,) = build_turn(*create_messages(f"customer: {'a' * MAX_CHARACTERS}{'b' * MAX_CHARACTERS}"))["messages"]
    assert entry["text"].startswith("aaa")
    assert entry["text"].endswith("bbb")
    assert " […] " in entry["text"]
    assert len(entry["text"]) < MAX_CHARACTERS + 10


def test_many_short_messages_do_not_add_up_to_a_long_prompt() -> None:
    messages = create_messages(*(f"customer: {number}" for number in range(5_000)))
    text = build_user_turn(Conversation(id="c1", messages=tuple(messages)))
    assert len(text) < MAX_CHARACTERS * 1.1
    assert get_texts(json.loads(text))[0] == "0!"
    assert get_texts(json.loads(text))[-1] == "4999!"


# Quoted history


def test_the_beginning_of_the_history_that_the_last_message_quotes_is_included() -> None:
    first = MESSAGE.model_copy(update={"quoted": "older"})
    last = MESSAGE.model_copy(update={"quoted": " q" + "r" * 2_000})
    turn = build_turn(first, last)
    assert "quoted" not in turn["messages"][0]
    assert turn["messages"][1]["quoted"] == "q" + "r" * 999 + " […]"


def test_short_quoted_history_is_included_as_a_whole() -> None:
    assert build_turn(MESSAGE.model_copy(update={"quoted": "older"}))["messages"][0]["quoted"] == "older"


def test_quoted_history_is_omitted_if_there_is_no_room() -> None:
    last = MESSAGE.model_copy(update={"quoted": "older"})
    turn = build_turn(*create_messages(f"bot: {HALF}", f"bot: {HALF[:-500]}"), last)
    assert len(turn["messages"]) == 3
    assert "quoted" not in turn["messages"][2]


# The system prompt


def test_the_system_prompt_explains_every_key_of_the_user_turn(ask: Ask) -> None:
    ask()
    system = ask.fake.requests[0]["system"][0]["text"]
    for key in ('"classify": true', '"quoted"', '"automatic": true'):
        assert key in system


def test_a_lone_surrogate_is_sent_as_a_question_mark(ask: Ask) -> None:
    assert not ask(conversation("hi \ud83d")).fallback
    assert "hi ?" in ask.fake.requests[0]["messages"][0]["content"]
