"""Calls of a help desk's API: retries, delays, rate limits and tokens."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.helpers.desks.base import Clock
from tests.helpers.events import LEASE, build_event, lease_one
from triage import VendorError
from triage.engine.breaker import CircuitBreaker
from triage.engine.clients import HttpClients
from triage.engine.lease import Lease
from triage.engine.transport import LONGEST_WAIT, TokenCache, Transport
from triage.errors import LeaseLost
from triage.inbox import MemoryInbox
from triage.io.clients import Mutex
from triage.io.http import MAX_RESPONSE
from triage.io.overload import listen_for_overload
from triage.io.ports import AsyncIO, SyncIO, run
from triage.io.retry import RetryPolicy
from triage.models import Request, Response, Token
from triage.testing.server import HttpRequest, HttpResponse, serve
from triage.vendors import Intercom
from triage.vendors.base import Auth, Vendor

INTERCOM = Intercom(client_secret="s", access_token="t", admin_id="1")
READ = Request("GET", "https://api.example.com/things/1?secret=no", idempotent=True)
WRITE = Request("POST", "https://api.example.com/things", {"body": "hi"})

LOST = httpx.ReadTimeout("lost")
UNSENT = httpx.ConnectError("unsent")


class Service(SyncIO):
    """An API that answers from a script, and a port that records delays instead of waiting."""

    def __init__(self, script: Sequence[int | httpx.Response | Exception], vendor: Vendor = INTERCOM) -> None:
        self.script = list(script)
        self.delays: list[float] = []
        self.requests: list[httpx.Request] = []
        self.now = 1000.0
        self.tokens = TokenCache()
        inbox = MemoryInbox(clock=lambda: self.now)
        self.breaker = CircuitBreaker("intercom", inbox, failures=4, pause=30, clock=lambda: self.now)
        http = httpx.Client(transport=httpx.MockTransport(self.answer))
        self.transport = Transport(
            vendor, vendor.auth, HttpClients(http, None), self, self.breaker, self.tokens, lambda: self.now
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={}) if isinstance(answer, int) else answer

    async def sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.now += seconds

    def send(self, request: Request) -> Response:
        return run(self.transport.send(request))


@pytest.fixture(autouse=True)
def real_delays(monkeypatch: pytest.MonkeyPatch, no_vendor_delays: None) -> None:
    monkeypatch.setattr("triage.engine.transport.RETRIES", RetryPolicy(attempts=3))


def limit(**headers: str) -> httpx.Response:
    return httpx.Response(429, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("failure", [408, 409, 429, 500, 502, 503, 504, LOST, UNSENT], ids=repr)
def test_a_transient_failure_is_retried_where_that_is_safe(failure: int | Exception) -> None:
    service = Service([failure, 200])
    assert service.send(READ).status == 200
    assert len(service.delays) == 1


@pytest.mark.parametrize(
    ("answer", "reports"), [(420, 1), (429, 1), (503, 1), (LOST, 1), (200, 0), (404, 0), (500, 0)], ids=repr
)
def test_an_overload_is_reported(answer: int | Exception, reports: int) -> None:
    reported: list[None] = []
    with listen_for_overload(lambda: reported.append(None)), suppress(VendorError):
        Service([answer, 404]).send(WRITE)
    assert len(reported) == reports


@pytest.mark.parametrize("failure", [409, 429, UNSENT], ids=repr)
def test_a_write_that_certainly_took_no_effect_is_retried(failure: int | Exception) -> None:
    assert Service([failure, 200]).send(WRITE).status == 200


@pytest.mark.parametrize("failure", [408, 500, 502, 503, 504, LOST], ids=repr)
def test_a_write_with_an_unknown_outcome_is_never_repeated(failure: int | Exception) -> None:
    service = Service([failure])
    with pytest.raises(VendorError) as caught:
        service.send(WRITE)
    assert caught.value.outcome_unknown
    assert service.delays == []


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 410, 422, 501])
def test_a_permanent_failure_is_not_retried(status: int) -> None:
    service = Service([status])
    with pytest.raises(VendorError) as caught:
        service.send(READ)
    assert caught.value.status == status
    assert not caught.value.outcome_unknown
    assert service.delays == []


def test_it_gives_up_after_two_retries_with_growing_delays() -> None:
    service = Service([500, 500, 500])
    with pytest.raises(VendorError):
        service.send(READ)
    assert 0.375 <= service.delays[0] <= 0.625
    assert 0.75 <= service.delays[1] <= 1.25


def test_the_help_desk_decides_how_long_to_wait() -> None:
    service = Service([limit(retry_after="2"), limit(x_ratelimit_reset="1005"), 200])
    service.send(WRITE)
    assert service.delays == [2.0, 3.0]


def test_a_wait_that_is_too_long_is_an_error_at_once() -> None:
    service = Service([limit(retry_after=str(LONGEST_WAIT + 1))])
    with pytest.raises(VendorError) as caught:
        service.send(READ)
    assert caught.value.retry_after == LONGEST_WAIT + 1
    assert service.delays == []


def test_a_call_waits_while_the_circuit_breaker_is_open_for_a_short_time() -> None:
    service = Service([200])
    run(service.breaker.record_success(service, pause=5))
    assert service.send(READ).status == 200
    assert service.delays == [5.0]


def test_a_call_is_not_made_while_the_circuit_breaker_stays_open() -> None:
    service = Service([])
    run(service.breaker.record_success(service, pause=LONGEST_WAIT + 1))
    with pytest.raises(VendorError, match="not called for another 11 s: its rate limit is used up, or it is down"):
        service.send(READ)


def test_an_error_names_the_call_but_neither_host_nor_query() -> None:
    with pytest.raises(VendorError) as caught:
        Service([UNSENT, UNSENT, UNSENT]).send(READ)
    assert str(caught.value) == "intercom: GET /things/1: no response: ConnectError"


@pytest.mark.parametrize("token", ["…", "of a file that ends with\n"])
def test_a_token_that_no_header_can_contain_is_reported_without_it(token: str) -> None:
    """An example is the `…` of documentation that was copied unchanged."""
    service = Service([])
    clients = HttpClients(httpx.Client(), None)
    service.transport = Transport(INTERCOM, None, clients, service, service.breaker, service.tokens, lambda: 0.0)
    with serve(lambda request: HttpResponse()) as base_url:
        request = Request("GET", base_url, headers={"Authorization": f"Bearer {token}"})
        with pytest.raises(VendorError, match="the API token, or another setting sent in a header") as caught:
            service.send(request)
    assert not caught.value.outcome_unknown
    assert caught.value.__cause__ is None
    assert token not in str(caught.value)


class ClientConnectionError(Exception):
    """Has the name of aiohttp's exception for lost connections, and for those that were never opened."""


class ClientConnectorError(ClientConnectionError):
    """Has the name of aiohttp's exception for connections that were never opened."""


@pytest.mark.parametrize(
    ("cause", "sent"), [(ClientConnectorError(), False), (ClientConnectionError(), True), (OSError(), False)]
)
def test_a_lost_connection_is_recognized_behind_a_misleading_exception(cause: Exception, *, sent: bool) -> None:
    """A user's client may be one of httpx-aiohttp, which raises the same exception in both cases."""
    error = httpx.ConnectError("")
    error.__cause__ = cause
    with pytest.raises(VendorError) as caught:
        Service([error, error, error]).send(WRITE)
    assert caught.value.outcome_unknown == sent


def test_an_error_says_why_there_is_no_response() -> None:
    refused = httpx.ConnectError("secret")
    refused.__cause__ = ConnectionRefusedError("secret")
    with pytest.raises(VendorError) as caught:
        Service([refused, refused, refused]).send(READ)
    message = "intercom: GET /things/1: no response: the connection was refused (ConnectError)"
    assert (str(caught.value), caught.value.outcome_unknown) == (message, False)


def test_a_proxy_that_rejects_the_connection_is_named() -> None:
    proxy = httpx.ProxyError("407 Proxy Authentication Required")
    with pytest.raises(VendorError, match="the proxy rejected the connection with status 407") as caught:
        Service([proxy, proxy, proxy]).send(WRITE)
    assert not caught.value.outcome_unknown


def large(status: int) -> httpx.Response:
    return httpx.Response(status, content=b" " * (MAX_RESPONSE + 1))


def test_a_response_that_is_too_large_ends_the_event_if_it_was_read_and_is_looked_up_if_it_was_a_write() -> None:
    with pytest.raises(VendorError, match="the response is larger than 16 MiB") as caught:
        Service([large(200)]).send(READ)
    assert (caught.value.status, caught.value.is_rejection) == (200, True)
    with pytest.raises(VendorError) as caught:
        Service([large(200)]).send(WRITE)
    assert (caught.value.outcome_unknown, caught.value.is_rejection) == (True, False)


def test_an_error_whose_body_is_too_large_is_treated_according_to_its_status() -> None:
    assert Service([large(503), 200]).send(READ).status == 200
    with pytest.raises(VendorError) as caught:
        Service([large(400)]).send(WRITE)
    assert (caught.value.outcome_unknown, caught.value.is_rejection) == (False, True)


def test_a_client_that_cannot_be_created_fails_the_call_and_not_the_program() -> None:
    service = Service([])
    clients = HttpClients(None, httpx.AsyncClient())
    service.transport = Transport(INTERCOM, None, clients, service, service.breaker, service.tokens, lambda: 0.0)
    with pytest.raises(VendorError, match="not called: Router has an async_http but no client for sync code"):
        service.send(READ)


@pytest.mark.usefixtures("http_stack")
@pytest.mark.parametrize("is_async", [False, True])
def test_a_response_that_arrives_byte_by_byte_ends_at_the_time_limit(
    *, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.engine.clients.CALL_LIMIT", 0.2)
    monkeypatch.setattr("triage.engine.transport.RETRIES", RetryPolicy(attempts=1))
    io = AsyncIO() if is_async else SyncIO()
    breaker = CircuitBreaker("intercom", MemoryInbox(), failures=4, pause=30, clock=lambda: 0.0)
    clients = HttpClients(None, None)
    transport = Transport(INTERCOM, None, clients, io, breaker, TokenCache(), lambda: 0.0)
    with serve_slowly() as url:
        request = Request("GET", url, idempotent=True)
        with pytest.raises(VendorError, match="no response: it did not respond in time") as caught:
            asyncio.run(transport.send(request)) if is_async else run(transport.send(request))
    assert caught.value.outcome_unknown


@contextmanager
def serve_slowly() -> Generator[str]:
    """Serve headers that never end, one byte after another, each in time for a read."""
    stopped = threading.Event()

    def serve_client(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not stopped.wait(0.01):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_client, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join()


def test_a_defect_of_the_client_is_not_taken_for_a_service_that_is_down() -> None:
    service = Service([AttributeError("request")])
    with pytest.raises(AttributeError):
        service.send(READ)
    assert run(service.breaker.retry_after(service)) == 0


# Calls of a worker that may have lost its lease


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> MemoryInbox:
    inbox = MemoryInbox(clock=clock)
    inbox.add(build_event())
    return inbox


def send_leased(inbox: MemoryInbox, clock: Clock, pause: Callable[[], object]) -> list[HttpRequest]:
    """Make a call with a lease, in a process that is paused while it connects. Return the requests that arrived."""
    received: list[HttpRequest] = []

    def answer(request: HttpRequest) -> HttpResponse:
        received.append(request)
        return HttpResponse()

    breaker = CircuitBreaker("intercom", inbox, failures=1, pause=30, clock=clock)
    lease = Lease(inbox, lease_one(inbox), SyncIO(), clock)
    with serve(answer) as url, httpx.Client(event_hooks={"request": [lambda _: pause()]}) as client:
        clients = HttpClients(client, None)
        transport = Transport(INTERCOM, None, clients, SyncIO(), breaker, TokenCache(), clock, lease)
        run(transport.send(Request("POST", url, {"body": "hi"})))
    return received


def test_a_call_is_not_made_after_a_pause_in_which_another_worker_took_over(inbox: MemoryInbox, clock: Clock) -> None:
    def pause() -> None:
        clock.now += LEASE + 1
        lease_one(inbox)

    with pytest.raises(LeaseLost):
        send_leased(inbox, clock, pause)


@pytest.mark.usefixtures("no_vendor_delays")
def test_a_call_is_made_after_a_pause_if_the_lease_can_be_renewed(inbox: MemoryInbox, clock: Clock) -> None:
    pauses = [LEASE + 1.0, 0.0]

    def pause() -> None:
        clock.now += pauses.pop(0)

    assert len(send_leased(inbox, clock, pause)) == 1  # a failure would have opened the circuit breaker


# Tokens that are fetched


class _Auth:
    def request(self) -> Request:
        return Request("POST", "https://api.example.com/oauth/token", idempotent=True)

    def token(self, request: Request, response: Response, now: float) -> Token:
        return Token(response.body.decode(), now + 3600)


class TokenDesk(Intercom):
    """A help desk whose calls need a token that is fetched. The tokens are numbered."""

    @property
    def auth(self) -> Auth:
        return _Auth()


TOKEN_DESK = TokenDesk(client_secret="s", access_token="t", admin_id="1")


def token(number: int) -> httpx.Response:
    return httpx.Response(200, content=str(number))


def sent_tokens(service: Service) -> list[str | None]:
    return [request.headers.get("Authorization") for request in service.requests]


def test_a_token_is_fetched_once_and_used_until_shortly_before_it_expires() -> None:
    service = Service([token(1), 200, 200, token(2), 200], TOKEN_DESK)
    service.send(READ)
    service.send(WRITE)
    service.now += 3600 - 59
    service.send(READ)
    assert sent_tokens(service) == [None, "Bearer 1", "Bearer 1", None, "Bearer 2"]


def test_a_rejected_token_is_renewed_once_even_for_a_write() -> None:
    service = Service([token(1), 401, token(2), 200], TOKEN_DESK)
    assert service.send(WRITE).status == 200
    assert sent_tokens(service) == [None, "Bearer 1", None, "Bearer 2"]
    with pytest.raises(VendorError) as caught:
        Service([token(1), 401, token(2), 401], TOKEN_DESK).send(WRITE)
    assert caught.value.status == 401


def test_other_errors_do_not_renew_the_token() -> None:
    with pytest.raises(VendorError):
        Service([token(1), 404], TOKEN_DESK).send(WRITE)


def test_a_token_that_another_task_fetched_while_we_waited_is_used() -> None:
    class Busy(Service):
        @asynccontextmanager
        async def exclusive(self, mutex: Mutex) -> AsyncGenerator[None]:
            self.tokens.current = Token("theirs", self.now + 3600)
            yield

    service = Busy([200], TOKEN_DESK)
    service.send(READ)
    assert sent_tokens(service) == ["Bearer theirs"]


def test_no_token_is_shown_by_repr() -> None:
    request: Any = Request("GET", "https://api.example.com", headers={"Authorization": "Bearer 4711"})
    assert "4711" not in repr((request, Token("4711", 0.0)))
