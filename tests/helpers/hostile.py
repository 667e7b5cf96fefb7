"""A help desk whose API answers with anything, and the property that processing an event must keep then.

`contract/test_hostile_responses.py` checks it with random responses, and `make fuzz` with responses that are guided by
coverage. Each response is a genuine one of the fake with some of its parts replaced.
"""

import gzip
import json
import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from unittest import mock

import httpx
from hypothesis import strategies as st

from tests.helpers.api import Api
from tests.helpers.desks import DESKS
from tests.helpers.json_paths import iterate_paths
from triage import Action, Bucket, Close, MarkSpam, Router, Snooze
from triage.inbox import MemoryInbox
from triage.io.ports import AsyncIO, SyncIO

SECRET = "my secret 4711"  # customer text; with spaces, because an id without them may be logged

EXTREMES = [
    "null",
    "true",
    "-1",
    "1" + "0" * 400,
    "9" * 5000,
    "1e400",
    "253402300800",
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"' + "x" * 20_000 + '"',
    '"../../etc"',
    '"2026-13-45T99:99:99Z"',
    "[]",
    "{}",
    "[null]",
    "[" * 150 + "]" * 150,
    '{"a":' * 300 + "1" + "}" * 300,
]
"""JSON values that an adapter does not expect."""

HEADERS = ["", "0", "-5", "nan", "1e400", "9" * 500, "soon", "\u0663"]
"""Values of headers that should be numbers."""

_ATTEMPTS = 3
_MOST_CALLS = 300  # in one attempt
_LONGEST_WAIT = 20.0  # seconds for each call: for a rate limit, and before a retry
_LONGEST_DELAY = 3600.0  # seconds until the next attempt
_MOST_SECONDS = 10.0  # of processor time for an attempt
_LONGEST_LINE = 2000  # characters in the log


def replace_part(payload: object, path: tuple[str | int, ...], raw: str) -> bytes:
    """Return the payload with one of its parts replaced by raw JSON."""
    mark = "@@here@@"
    changed: Any = json.loads(json.dumps(payload))
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = mark
    return json.dumps(changed).replace(json.dumps(mark), raw).encode()


@dataclass(frozen=True)
class Change:
    """How one response, or all responses from one call on, differ from the genuine one.

    Attributes:
        call: The number of the call, from 0.
        is_lasting: True to change the later responses to the same path as well.
        is_performed: False if the help desk does not perform the call, and the body is that of an empty object.
        error: The exception of the client in place of a response.
        status: The status in place of the genuine one.
        headers: Further headers.
        parts: The numbers of parts of the body, and the JSON in their place.
        body: The body in place of the genuine one.
        length: The number of bytes that are sent of the body.
        encoding: The content encoding: what is announced and what is sent.
    """

    call: int
    is_lasting: bool
    is_performed: bool
    error: type[httpx.TransportError] | None
    status: int | None
    headers: Sequence[tuple[str, bytes]]
    parts: Sequence[tuple[int, str]]
    body: bytes | None
    length: int | None
    encoding: tuple[str, str]

    def apply(self, genuine: httpx.Response) -> httpx.Response:
        """Return the changed response.

        Raises:
            TransportError: There is none.
        """
        if self.error is not None:
            raise self.error("")
        body = self._change_parts(genuine.content) if self.body is None else self.body
        announced, sent = self.encoding
        if sent == "gzip":
            body = gzip.compress(body, mtime=0)
        headers = [(name.encode(), value) for name, value in self.headers]
        if announced:
            headers.append((b"content-encoding", announced.encode()))
        stream = httpx.ByteStream(body[: self.length])
        return httpx.Response(self.status or genuine.status_code, headers=headers, stream=stream)

    def _change_parts(self, body: bytes) -> bytes:
        for number, raw in self.parts:
            try:
                payload = json.loads(body)
            except (ValueError, RecursionError):
                return body
            paths = list(iterate_paths(payload))
            if not paths:
                return raw.encode("utf-8", "surrogatepass")
            body = replace_part(payload, paths[number % len(paths)], raw)
        return body


_UNCHANGED = Change(0, False, True, None, None, (), (), None, None, ("", ""))

_STATUSES = [
    *(
        200,
        201,
        202,
        204,
        206,
        299,
        301,
        304,
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        408,
        409,
        410,
        412,
        413,
        415,
        418,
        420,
    ),
    *(422, 423, 429, 451, 500, 501, 502, 503, 504, 599),
]
_ERRORS = [
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
    httpx.WriteError,
]
_HEADER_NAMES = [
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-retry-after",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-request-id",
    "x-zendesk-request-id",
    "location",
    "resource-id",
    "content-type",
    "date",
]
_HEADER_VALUES = [
    *(value.encode() for value in HEADERS),
    *(b"1", b"5", b"60", b"3600", b"86400000", b"0.001", b"Infinity", b"\xff\xfe", b"Wed, 21 Oct 2099 07:28:00 GMT"),
    *(SECRET.encode(), b"https://api.example.com/conversations/" + SECRET.encode()),
]
_BODIES = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\x00",
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b'{"message":"\xe9"}',
    b"[" * 100_000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b'{"data":' + b"9" * 5000 + b"}",
    b"<html><title>502 Bad Gateway</title>" + SECRET.encode(),
    b'{"type":"error.list","errors":[{"code":"' + SECRET.encode() + b'","message":"' + SECRET.encode() + b'"}]}',
]
_ENCODINGS = [("gzip", "gzip"), ("gzip", ""), ("", "gzip"), ("br", ""), ("x-gzip", "gzip"), ("gzip, gzip", "gzip")]

_TEXTS = st.text(max_size=20) | st.sampled_from([SECRET, "0", "id", "https://example.com/" + SECRET, "<p>" * 50])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=5,
)
_RAW = st.sampled_from(EXTREMES) | _VALUES.map(json.dumps)


def _rarely(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.none() | st.none() | values


_CHANGES = st.builds(
    Change,
    call=st.integers(0, 15),
    is_lasting=st.booleans(),
    is_performed=st.booleans(),
    error=_rarely(st.sampled_from(_ERRORS)),
    status=_rarely(st.sampled_from(_STATUSES)),
    headers=st.lists(st.tuples(st.sampled_from(_HEADER_NAMES), st.sampled_from(_HEADER_VALUES)), max_size=3),
    parts=st.lists(st.tuples(st.integers(0, 500), _RAW), max_size=3),
    body=_rarely(st.sampled_from(_BODIES) | st.binary(max_size=60)),
    length=_rarely(st.integers(0, 2000)),
    encoding=st.just(("", "")) | st.just(("", "")) | st.sampled_from(_ENCODINGS),
)


@dataclass(frozen=True)
class Scene:
    """A customer's message, and what the help desk answers while it is processed."""

    desk: str
    api: Literal["sync", "async"]
    bucket: str
    changes: Sequence[Change]

    def check(self) -> None:
        """Process the message until it is settled, and check that nothing gets out of hand.

        Raises:
            AssertionError: Something did.
        """
        _Run(self).check()


SCENES = st.builds(
    Scene,
    desk=st.sampled_from(list(DESKS)),
    api=st.sampled_from(["sync", "sync", "async"]),
    bucket=st.sampled_from(["general", "urgent", "spam"]),
    changes=st.lists(_CHANGES, min_size=1, max_size=4),
)


class _Run:
    """Processes one message against a hostile help desk."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._desk = DESKS[scene.desk]()
        self._desk.fake.rate_limit = None
        self._log = _Log()
        self._calls = 0
        self._lasting: dict[str, Change] = {}
        self._waited = 0.0

    def check(self) -> None:
        desk = self._desk
        text = f"{self._scene.bucket} {SECRET}"
        webhook = desk.fake.customer_writes(text, subject=SECRET, name=SECRET, email="my-secret-4711@example.com")
        with (
            self._log,
            mock.patch.object(SyncIO, "sleep", self._sleep),
            mock.patch.object(AsyncIO, "sleep", self._sleep),
        ):
            inbox = MemoryInbox(clock=desk.clock)
            router = self._create_router(inbox, webhook.conversation_id or "")
            answer = router.handle(webhook.body, webhook.headers)
            key = answer.outcome.key
            assert answer.outcome.status == "accepted"
            assert key is not None
            self._process(router, inbox, key)
        self._log.check()

    def _create_router(self, inbox: MemoryInbox, conversation_id: str) -> Router:
        transport = httpx.MockTransport(self._answer)
        return self._desk.router(
            inbox=inbox,
            buckets=self._list_buckets(conversation_id),
            http=httpx.Client(transport=transport),
            async_http=lambda: httpx.AsyncClient(transport=transport),
        )

    def _list_buckets(self, conversation_id: str) -> list[Bucket]:
        """Return buckets that perform everything that the help desk can do."""
        actions: list[Action] = [change.action for change in self._desk.changes(conversation_id)]
        ending = {
            kind: [action for action in actions if isinstance(action, kind)] for kind in (Close, Snooze, MarkSpam)
        }
        others = [action for action in actions if not isinstance(action, Close | Snooze | MarkSpam)]
        return [
            Bucket("urgent", "Urgent.", [*others, *ending[Snooze]]),
            Bucket("general", "General.", [*others, *ending[Close]]),
            Bucket("spam", "Spam.", ending[MarkSpam] or ending[Close]),
        ]

    def _process(self, router: Router, inbox: MemoryInbox, key: str) -> None:
        for _ in range(_ATTEMPTS + 1):
            self._attempt(router, key)
            entry = inbox.get_entry(key)
            assert entry is not None
            assert SECRET not in (entry.error or "")
            if entry.state in ("finished", "dead"):
                assert entry.outcome is not None, "no outcome was recorded"
                return
            delay = entry.due - self._desk.clock.now
            assert delay <= _LONGEST_DELAY
            self._desk.clock.now += max(0.0, delay)
        raise AssertionError("the event was not settled")

    def _attempt(self, router: Router, key: str) -> None:
        calls, waited, start = self._calls, self._waited, time.process_time()
        outcome = Api(self._scene.api).process(router, key, attempts=_ATTEMPTS)
        assert SECRET not in repr(outcome)
        calls = self._calls - calls
        assert calls <= _MOST_CALLS
        assert self._waited - waited <= _LONGEST_WAIT * (calls + 1)
        assert time.process_time() - start < _MOST_SECONDS

    async def _sleep(self, seconds: float) -> None:
        self._waited += seconds
        self._desk.clock.now += seconds

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        number, self._calls = self._calls, self._calls + 1
        change = next((change for change in self._scene.changes if change.call == number), self._lasting.get(path))
        change = change or _UNCHANGED
        if change.is_lasting:
            self._lasting[path] = change
        genuine = self._forward(request) if change.is_performed else httpx.Response(200, content=b"{}")
        return change.apply(genuine)

    def _forward(self, request: httpx.Request) -> httpx.Response:
        """Let the fake answer."""
        with httpx.Client(transport=self._desk.fake.transport) as client:
            url, headers = str(request.url), dict(request.headers)
            return client.request(request.method, url, content=request.content, headers=headers)


class _Log(logging.Handler):
    """Collects everything that is logged in a `with` block."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._records: list[tuple[str, str]] = []

    def __enter__(self) -> None:
        self._logger = logging.getLogger("triage")
        self._level, self._propagates = self._logger.level, self._logger.propagate
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        self._logger.propagate = self._propagates

    def emit(self, record: logging.LogRecord) -> None:
        text = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._records.append((record.getMessage(), f"{record.__dict__} {text}"))

    def check(self) -> None:
        for line, record in self._records:
            assert line.isprintable(), ascii(line)
            assert len(line) < _LONGEST_LINE, line
            assert SECRET not in line + record
            assert "my-secret-4711" not in line + record
