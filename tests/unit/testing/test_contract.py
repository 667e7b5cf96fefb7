"""The contract fails for adapters that break it."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.helpers.desks import IntercomDesk
from triage import Close, Conversation, Step
from triage.models import Delivery
from triage.testing.contract import ContractDesk, VendorContract
from triage.vendors import Intercom
from triage.vendors.base import Message, Send

CONTRACT = VendorContract()


class Careless(Intercom):
    """Accepts any signature."""

    def verify(self, delivery: Delivery) -> None:
        return


class Forgetful(Intercom):
    """Never finds a reply that was sent."""

    def is_written_by(self, action: Any, message: Message) -> bool:
        return False


class Idle(Intercom):
    """Reports every step as done."""

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        return


class Leaky(Intercom):
    """Shows its token."""

    shown = ("access_token",)


class Minimal(Intercom):
    """Supports one action."""

    can = frozenset({Close})


def create_desk(adapter: type[Intercom]) -> ContractDesk:
    desk = IntercomDesk()
    desk.vendor = adapter  # type: ignore[misc]  # for this desk only
    return desk


@pytest.mark.parametrize(
    ("adapter", "test"),
    [
        (Careless, CONTRACT.test_both_secrets_are_accepted_during_a_rotation),
        (Careless, CONTRACT.test_a_signature_of_another_body_is_answered_401),
        (Forgetful, CONTRACT.test_a_reply_whose_response_was_lost_is_found_and_not_sent_again),
        (Idle, CONTRACT.test_an_action_changes_what_it_is_for_and_nothing_else),
        (Leaky, CONTRACT.test_no_secret_is_shown),
    ],
)
def test_a_broken_adapter_fails(adapter: type[Intercom], test: Any) -> None:
    with pytest.raises(AssertionError):
        test(create_desk(adapter))


def test_an_adapter_that_accepts_an_empty_secret_fails() -> None:
    class Defaulting(IntercomDesk):
        def adapter(self, **overrides: Any) -> Intercom:
            settings: dict[str, Any] = {**self.fake.settings()}
            return Intercom(**settings)

    with pytest.raises(AssertionError, match="accepted the secret"):
        CONTRACT.test_an_adapter_without_a_secret_cannot_be_created(Defaulting())


def test_tests_of_unsupported_actions_pass() -> None:
    desk = create_desk(Minimal)
    CONTRACT.test_the_tags_of_a_conversation_are_read(desk)
    CONTRACT.test_a_note_whose_response_was_lost_is_found_and_not_added_again(desk)


def test_a_desk_without_notes_has_none() -> None:
    notes: Sequence[str] = ContractDesk.notes(IntercomDesk(), "1")
    assert notes == ()
