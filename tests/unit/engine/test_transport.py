"""Calls of a vendor's API: what is repeated, how long it waits, what it says when it gives up."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from triage import VendorError
from triage.engine.breaker import Gate
from triage.engine.transport import LONGEST_WAIT, NoAnswer, Tokens, send
from triage.inbox import MemoryInbox
from triage.io.ports import run
from triage.models import Request, Response, Token
from triage.vendors import Intercom
from triage.vendors.base import Auth
from triage.vendors.payload import Payload
from triage.vendors.responses import build_error, parse_response, parse_seconds

INTERCOM = Intercom(client_secret="s", access_token="t", admin_id="1")
READ = Request("GET", "https://api.example.com/things/1?secret=no", idempotent=True)
WRITE = Request("POST", "https://api.example.com/things", {"body": "hi"})


class Wire:
    """Answers from a script, and notes how long it was told to wait."""

    def __init__(self, script: Sequence[int | Response | NoAnswer]) -> None:
        self.script = list(script)
        self.waits: list[float] = []
        self.sent: list[Request] = []
        self.clock = 1000.0
        self.tokens = Tokens()
        self.vendor_gate = Gate("intercom", MemoryInbox(clock=self.now), failures=4, pause=30, clock=self.now)

    async def held(self, gate: Gate) -> float:
        return gate.left()

    async def learn(self, gate: Gate, *, down: bool, pause: float = 0.0) -> None:
        seconds = gate.learn(down=down, pause=pause)
        if seconds:
            gate.shut(seconds)

    async def exchange(self, request: Request) -> Response:
        self.sent.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, NoAnswer):
            raise answer
        return Response(answer, {}, b"{}") if isinstance(answer, int) else answer

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock += seconds

    def now(self) -> float:
        return self.clock

    @asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        yield


def limited(**headers: str) -> Response:
    return Response(429, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


LOST = NoAnswer("no answer: ReadTimeout", sent=True)
UNSENT = NoAnswer("no answer: ConnectError", sent=False)


@pytest.mark.parametrize("failure", [408, 409, 429, 500, 502, 503, 504, LOST, UNSENT], ids=str)
def test_what_may_pass_is_tried_again_where_that_is_safe(failure: int | NoAnswer) -> None:
    wire = Wire([failure, 200])
    assert run(send(READ, INTERCOM, wire)).status == 200
    assert len(wire.waits) == 1


@pytest.mark.parametrize("failure", [409, 429, UNSENT], ids=str)
def test_a_write_is_tried_again_where_it_certainly_took_no_effect(failure: int | NoAnswer) -> None:
    assert run(send(WRITE, INTERCOM, Wire([failure, 200]))).status == 200


@pytest.mark.parametrize("failure", [408, 500, 502, 503, 504, LOST], ids=str)
def test_a_write_of_unknown_fate_is_never_repeated(failure: int | NoAnswer) -> None:
    wire = Wire([failure])
    with pytest.raises(VendorError) as caught:
        run(send(WRITE, INTERCOM, wire))
    assert caught.value.outcome_unknown
    assert wire.waits == []


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 410, 422, 501])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    wire = Wire([status])
    with pytest.raises(VendorError) as caught:
        run(send(READ, INTERCOM, wire))
    assert caught.value.status == status
    assert not caught.value.outcome_unknown
    assert wire.waits == []


def test_it_gives_up_after_two_repetitions_with_growing_waits() -> None:
    wire = Wire([500, 500, 500])
    with pytest.raises(VendorError):
        run(send(READ, INTERCOM, wire))
    assert 0.375 <= wire.waits[0] <= 0.625
    assert 0.75 <= wire.waits[1] <= 1.25


def test_the_vendor_tells_how_long_to_wait() -> None:
    wire = Wire([limited(retry_after="2"), limited(x_ratelimit_reset="1005"), 200])
    run(send(WRITE, INTERCOM, wire))
    assert wire.waits == [2.0, 3.0]


def test_who_asks_for_more_patience_than_we_have_gets_an_error_at_once() -> None:
    wire = Wire([limited(retry_after=str(LONGEST_WAIT + 1))])
    with pytest.raises(VendorError) as caught:
        run(send(READ, INTERCOM, wire))
    assert caught.value.retry_after == LONGEST_WAIT + 1
    assert wire.waits == []


def test_an_error_names_the_call_but_neither_host_nor_query() -> None:
    with pytest.raises(VendorError) as caught:
        run(send(READ, INTERCOM, Wire([UNSENT, UNSENT, UNSENT])))
    assert str(caught.value) == "intercom: GET /things/1: no answer: ConnectError"


def test_an_error_keeps_the_vendors_words_out_of_its_text() -> None:
    error = build_error(WRITE, Response(400, {}, b""), vendor="v", message="body 'my text' is wrong", code="bad\nline")
    assert error.vendor_message == "body 'my text' is wrong"
    assert str(error) == "v: POST /things: refused (status 400, code ?)"


def test_an_answer_that_cannot_be_read_is_the_vendors_error() -> None:
    class Thing(Payload):
        id: str

    assert parse_response(Thing, READ, Response(200, {}, b'{"id": 1}'), vendor="v").id == "1"
    with pytest.raises(VendorError, match=r"v: GET /things/1: cannot parse the response: payload: model_type"):
        parse_response(Thing, READ, Response(200, {}, b"<html>"), vendor="v")


@pytest.mark.parametrize(
    ("value", "expected"), [("1.5", 1.5), ("0", 0.0), ("-1", None), ("nan", None), ("inf", None), ("soon", None)]
)
def test_seconds_are_finite_and_not_negative(value: str, expected: float | None) -> None:
    assert parse_seconds({"retry-after": value}, "retry-after") == expected
    assert parse_seconds({}, "retry-after") is None


# Tokens that are fetched


class Fetched(Intercom):
    """A vendor whose calls need a token that is fetched; each one is called after its number."""

    class _Auth:
        def request(self) -> Request:
            return Request("POST", "https://api.example.com/oauth/token", idempotent=True)

        def token(self, request: Request, response: Response, now: float) -> Token:
            return Token(str(response.data()), now + 3600)

    @property
    def auth(self) -> Auth:
        return self._Auth()


FETCHED = Fetched(client_secret="s", access_token="t", admin_id="1")


def token(number: int) -> Response:
    return Response(200, {}, str(number).encode())


def test_a_token_is_fetched_once_and_used_until_shortly_before_its_end() -> None:
    wire = Wire([token(1), 200, 200, token(2), 200])
    run(send(READ, FETCHED, wire))
    run(send(WRITE, FETCHED, wire))
    wire.clock += 3600 - 59
    run(send(READ, FETCHED, wire))
    authorized = [request.headers.get("Authorization") for request in wire.sent]
    assert authorized == [None, "Bearer 1", "Bearer 1", None, "Bearer 2"]
    assert "Bearer" not in repr(wire.sent)


def test_a_token_that_was_withdrawn_is_renewed_once_even_for_a_write() -> None:
    wire = Wire([token(1), 401, token(2), 200])
    assert run(send(WRITE, FETCHED, wire)).status == 200
    wire = Wire([token(1), 401, token(2), 401])
    with pytest.raises(VendorError) as caught:
        run(send(WRITE, FETCHED, wire))
    assert caught.value.status == 401


def test_other_errors_do_not_renew_the_token() -> None:
    wire = Wire([token(1), 404])
    with pytest.raises(VendorError):
        run(send(WRITE, FETCHED, wire))


def test_who_waited_for_the_lock_finds_the_token_of_the_one_before() -> None:
    class Queued(Wire):
        @asynccontextmanager
        async def exclusive(self) -> AsyncGenerator[None]:
            self.tokens.current = Token("theirs", self.clock + 3600)
            yield

    wire = Queued([200])
    run(send(READ, FETCHED, wire))
    assert wire.sent[0].headers["Authorization"] == "Bearer theirs"
