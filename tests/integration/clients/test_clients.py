"""The help desks' own clients, and the most common one for Zendesk, work with our fakes.

All tests that need packages for Node.js are in this module, so that one worker installs them once.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import requests
from intercom import AdminReplyConversationRequest, CreateOrUpdateTagRequest
from intercom import Intercom as IntercomClient
from intercom.conversations import (
    ConversationsManageRequestBody_Assignment,
    ConversationsManageRequestBody_Close,
    ConversationsManageRequestBody_Snoozed,
)
from intercom.errors import NotFoundError, UnauthorizedError
from requests.adapters import HTTPAdapter
from zenpy import Zenpy
from zenpy.lib.api_objects import Comment, CustomField, Ticket
from zenpy.lib.exception import APIException, RecordNotFoundException

from tests.helpers.desks import CrispDesk
from tests.integration.clients.conftest import Run
from triage.testing import FakeCrisp, FakeIntercom, FakeZendesk

# Intercom


def test_intercoms_python_client_handles_a_conversation() -> None:
    fake = FakeIntercom(api_version="2.13")
    conversation_id = fake.customer_writes("I was charged twice", name="Mira", email="mira@example.com").conversation_id
    assert conversation_id is not None
    admin, team = fake.settings()["admin_id"], next(iter(fake.teams))
    with fake.serve() as url, httpx.Client() as http:
        client = IntercomClient(token=fake.access_token, base_url=url, httpx_client=http)
        received = client.conversations.find(conversation_id)
        assert received.source is not None
        assert received.source.author is not None
        assert (received.id, received.source.author.name, received.state) == (conversation_id, "Mira", "open")
        assert "I was charged twice" in (received.source.body or "")
        for kind in ("comment", "note"):
            request = AdminReplyConversationRequest(message_type=kind, admin_id=admin, body=f"<p>{kind}</p>")
            client.conversations.reply(conversation_id, request=request)
        assignment = ConversationsManageRequestBody_Assignment(type="team", admin_id=admin, assignee_id=team)
        client.conversations.manage(conversation_id, request=assignment)
        tag = client.tags.create(request=CreateOrUpdateTagRequest(name="billing"))
        client.tags.tag_conversation(conversation_id, tag_id=tag.id, admin_id=admin)
        until = int(time.time()) + 3600
        snoozed = client.conversations.manage(
            conversation_id, request=ConversationsManageRequestBody_Snoozed(admin_id=admin, snoozed_until=until)
        )
        assert (snoozed.state, snoozed.snoozed_until) == ("snoozed", until)
        closed = client.conversations.manage(
            conversation_id, request=ConversationsManageRequestBody_Close(admin_id=admin)
        )
        assert closed.state == "closed"
        read = client.conversations.find(conversation_id)
        assert read.conversation_parts is not None
        bodies = [part.body for part in read.conversation_parts.conversation_parts if part.body]
        assert bodies == ["<p>comment</p>", "<p>note</p>"]
        assert [item.name for item in client.tags.list().data or []] == ["billing"]
        assert [str(group.id) for group in client.teams.list().teams or []] == list(fake.teams)
        assert admin in [user.id for user in client.admins.list().admins or [] if user]
    conversation = fake.conversations[conversation_id]
    assert (conversation.team, conversation.tags, conversation.state) == (team, ["billing"], "closed")
    assert (fake.replies(conversation_id), fake.notes(conversation_id)) == (["<p>comment</p>"], ["<p>note</p>"])


def test_intercoms_python_client_raises_its_own_errors() -> None:
    fake = FakeIntercom()
    with fake.serve() as url, httpx.Client() as http:
        with pytest.raises(UnauthorizedError) as caught:
            IntercomClient(token="wrong", base_url=url, httpx_client=http).tags.list()
        assert caught.value.body.errors[0].code == "unauthorized"
        with pytest.raises(NotFoundError) as missing:
            IntercomClient(token=fake.access_token, base_url=url, httpx_client=http).conversations.find("404404")
        assert missing.value.status_code == 404


def test_intercoms_node_client_handles_a_conversation(node_with_packages: Run) -> None:
    fake = FakeIntercom(api_version="2.13")
    conversation_id = fake.customer_writes("I was charged twice", name="Mira").conversation_id or ""
    admin, team = fake.settings()["admin_id"], next(iter(fake.teams))
    with fake.serve() as url:
        result = node_with_packages(
            "intercom.cjs", url=url, token=fake.access_token, conversation=conversation_id, admin=admin, team=team
        )
    assert (result["found"]["id"], result["found"]["source"]["author"]["name"]) == (conversation_id, "Mira")
    assert (result["tags"], result["closed"]["state"]) == (["billing"], "closed")
    assert admin in result["admins"]
    assert (result["missing"]["status"], result["missing"]["body"]["type"]) == (404, "error.list")
    conversation = fake.conversations[conversation_id]
    assert (conversation.team, conversation.tags, conversation.state) == (team, ["billing"], "closed")
    assert (fake.replies(conversation_id), fake.notes(conversation_id)) == (["<p>Hi</p>"], ["<p>psst</p>"])


# Zendesk


class _ToFake(HTTPAdapter):
    """Sends requests for Zendesk to a fake, because zenpy has no setting for the address."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        url = request.url
        request.url = url.replace("https://acme.zendesk.com", self.url)
        response = super().send(request, *args, **kwargs)
        # zenpy derives the type of the response from the URL.
        request.url = response.url = url
        return response


@contextmanager
def zenpy(url: str, token: str) -> Generator[Any]:
    with requests.Session() as session:
        session.mount("https://acme.zendesk.com", _ToFake(url))
        yield Zenpy(subdomain="acme", oauth_token=token, session=session, disable_cache=True)


def test_zenpy_handles_a_ticket() -> None:
    fake = FakeZendesk()
    ticket_id = fake.customer_writes("I was charged twice", subject="Invoice", name="Mira").conversation_id or ""
    conversation = fake.conversations[ticket_id]
    with fake.serve() as url, zenpy(url, "fake-access-token") as client:
        ticket = client.tickets(id=int(ticket_id))
        assert (ticket.subject, ticket.status, ticket.requester.name) == ("Invoice", "new", "Mira")
        ticket.group_id, ticket.priority, ticket.status = 98702, "urgent", "solved"
        ticket.custom_fields = [CustomField(id=27642, value="billing")]
        ticket.comment = Comment(html_body="<p>Hi</p>", public=True, author_id=9001)
        update = client.tickets.update(ticket)
        assert (update.ticket.status, update.audit.events[0]["type"]) == ("solved", "Comment")
        client.tickets.update(Ticket(id=int(ticket_id), comment=Comment(body="psst", public=False)))
        client.tickets.add_tags(int(ticket_id), ["vip", "refund"])
        assert conversation.tags == ["vip", "refund"]
        client.tickets.delete_tags(int(ticket_id), ["refund"])
        comments = list(client.tickets.comments(ticket=int(ticket_id)))
        assert [(comment.plain_body, comment.public) for comment in comments] == [
            ("I was charged twice", True),
            ("Hi", True),
            ("psst", False),
        ]
        assert [group.name for group in client.groups()] == ["On-call", "Billing", "Support"]
        assert client.users.me().name == "Triage"
        assert len(list(client.tickets.audits(ticket=int(ticket_id)))) == 4
    assert (conversation.team, conversation.priority, conversation.tags, conversation.fields) == (
        "98702",
        "urgent",
        ["vip"],
        {"27642": "billing"},
    )
    assert (fake.replies(ticket_id), fake.notes(ticket_id)) == (["<p>Hi</p>"], ["<p>psst</p>"])


def test_zenpy_raises_its_own_errors() -> None:
    fake = FakeZendesk()
    ticket_id = int(fake.customer_writes("Hello").conversation_id or "")
    with fake.serve() as url, zenpy(url, "fake-access-token") as client, zenpy(url, "wrong") as stranger:
        with pytest.raises(RecordNotFoundException):
            client.tickets(id=404404)
        with pytest.raises(APIException, match="RecordInvalid"):
            client.tickets.update(Ticket(id=ticket_id, priority="highest"))
        stale = Ticket(id=ticket_id, subject="x", updated_stamp="2020-01-01T00:00:00Z", safe_update=True)
        with pytest.raises(APIException, match="UpdateConflict"):
            client.tickets.update(stale)
        with pytest.raises(APIException, match="Couldn't authenticate"):
            stranger.tickets(id=ticket_id)


# Crisp


def test_crisps_node_client_handles_a_conversation(node_with_packages: Run) -> None:
    fake = FakeCrisp()
    webhook = fake.customer_writes("Où est ma commande ?", name="Zoë")
    session = webhook.conversation_id or ""
    inbox, operator = next(iter(fake.teams)), next(iter(fake.users))
    with fake.serve() as url:
        result = node_with_packages(
            "crisp.cjs",
            url=url,
            identifier=fake.identifier,
            key=fake.key,
            website=fake.website_id,
            session=session,
            inbox=inbox,
            operator=operator,
        )
    assert (result["conversation"]["session_id"], result["conversation"]["meta"]["nickname"]) == (session, "Zoë")
    messages = [(message["type"], message["from"], message["content"]) for message in result["messages"]]
    assert messages == [
        ("text", "user", "Où est ma commande ?"),
        ("text", "operator", "Hi there"),
        ("note", "operator", "psst"),
    ]
    assert result["sent"]["fingerprint"] == result["messages"][1]["fingerprint"]
    assert result["refused"]["message"] == "invalid_session"
    conversation = fake.conversations[session]
    assert (conversation.assignee, conversation.team, conversation.tags, conversation.state) == (
        operator,
        inbox,
        ["billing"],
        "closed",
    )
    assert (conversation.fields, fake.blocked) == ({"triage": "billing"}, {session})
    assert (fake.replies(session), fake.notes(session)) == (["Hi there"], ["psst"])


def test_crisps_package_accepts_the_signature_of_the_fake(node_with_packages: Run) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Où est ma commande ? 😡")
    arguments = {
        "secret": desk.secret,
        "body": webhook.body.decode(),
        "timestamp": webhook.headers["X-Crisp-Request-Timestamp"],
    }
    signature = webhook.headers["X-Crisp-Signature"]
    assert node_with_packages("crisp_signature.cjs", **arguments, signature=signature) is True
    assert node_with_packages("crisp_signature.cjs", **arguments, signature="0" * 64) is False
