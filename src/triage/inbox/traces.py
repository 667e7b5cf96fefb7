"""Find the events of a customer, whom an operator identifies by id or email address."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from triage.models import Customer, Event, Ledger


@dataclass(frozen=True)
class Trace:
    """What an event reveals about its customer.

    Args:
        number: The number of the event.
        owner: The name of the Router that owns it. Ids are only unique within a help desk.
        conversation: The conversation.
        ids: The customer's ids.
        emails: The customer's email addresses, in lower case.
    """

    number: int
    owner: str
    conversation: str
    ids: frozenset[str]
    emails: frozenset[str]


def build_trace(
    number: int, owner: str, conversation: str, stored: Customer, event: Event | None, ledger: Ledger | None
) -> Trace:
    """Collect a customer's ids and addresses: from the webhook, and from the conversation as the API returned it.

    Args:
        number: The number of the event.
        owner: The name of the Router that owns it.
        conversation: The conversation.
        stored: The id and the address that the inbox has stored with the event.
        event: The event.
        ledger: Its ledger.
    """
    customers = [stored, event and event.customer, ledger and ledger.customer]
    return Trace(
        number,
        owner,
        conversation,
        ids=frozenset(customer.id for customer in customers if customer and customer.id),
        emails=frozenset(customer.email.lower() for customer in customers if customer and customer.email),
    )


def find_events(
    customer: str,
    find_mentions: Callable[[str], Iterable[Trace]],
    find_conversation: Callable[[str], Iterable[Trace]],
) -> list[int]:
    """Return the numbers of all events of a customer.

    Some webhooks contain only the customer's id, or neither id nor address. Of a customer with an email address, the
    events with the same id are found as well, and in a conversation of the customer, those without a customer.

    Args:
        customer: The customer's id or email address.
        find_mentions: Returns at least the events that contain a text, in whatever case.
        find_conversation: Returns the events of a conversation.
    """
    email = customer.lower()
    found = {trace.number: trace for trace in find_mentions(customer) if customer in trace.ids or email in trace.emails}
    owned_ids = {(trace.owner, id_) for trace in found.values() if email in trace.emails for id_ in trace.ids}
    for owner, id_ in sorted(owned_ids):
        found |= {trace.number: trace for trace in find_mentions(id_) if trace.owner == owner and id_ in trace.ids}
    for conversation in sorted({trace.conversation for trace in found.values()}):
        found |= {
            trace.number: trace for trace in find_conversation(conversation) if not trace.ids and not trace.emails
        }
    return sorted(found)
