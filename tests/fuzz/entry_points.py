"""Fuzz the entry points of all vendors, guided by coverage: `python -m tests.fuzz.entry_points SECONDS`.

It needs `atheris`. Each input becomes a delivery: random bytes, or a genuine delivery with some bytes or JSON values
changed. Without a signature it must be rejected, with a signature it must be answered with 200, and nothing may raise.
The exit code is 0 if no input violates this. Otherwise the input is saved to a file, and
`python -m tests.fuzz.entry_points 0 FILE` shows the failure again.

    python -m tests.fuzz.entry_points 60                 one minute
    python -m tests.fuzz.entry_points 60 --seed 7        with other random numbers
    python -m tests.fuzz.entry_points 60 corpus/         reuse and collect inputs; libFuzzer options may follow

Two runs with the same seed differ slightly, because Python and libFuzzer use memory addresses; prefix the command with
`PYTHONHASHSEED=0 setarch -R` and append `-runs=20000` to make them equal.
"""

import importlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from tests.fuzz.running import run

atheris: Any = importlib.import_module("atheris")  # imported by name because it is optional and has no type hints

with atheris.instrument_imports(include=["triage"]):
    from tests.helpers.desks import CrispDesk, Desk, FrontDesk, HelpScoutDesk, IntercomDesk, ZendeskDesk
    from tests.helpers.json_paths import iterate_paths
    from triage import Event, Router
    from triage.testing import FakeHelpDesk

T = TypeVar("T")

Input: TypeAlias = Any
"""A `FuzzedDataProvider`, which derives values from an input piece by piece."""

_LONGEST = 4096  # bytes of an input
_DESKS: tuple[Callable[[], Desk], ...] = (
    IntercomDesk,
    HelpScoutDesk,
    lambda: HelpScoutDesk(payload_version="V3"),
    ZendeskDesk,
    lambda: ZendeskDesk(connection="trigger"),
    FrontDesk,
    lambda: FrontDesk(source="rule"),
    CrispDesk,
    lambda: CrispDesk(hook="website"),
)
_SIGNING = (
    "X-Hub-Signature",
    "X-HelpScout-Signature",
    "X-HelpScout-Event",
    "X-Zendesk-Webhook-Signature",
    "X-Zendesk-Webhook-Signature-Timestamp",
    "X-Front-Signature",
    "X-Front-Request-Timestamp",
    "X-Front-Challenge",
    "X-Crisp-Signature",
    "X-Crisp-Request-Timestamp",
    "X-Triage-Url-Key",
    "Content-Type",
)
_CONSTANTS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    10**30,
    1e308,
    "",
    "0",
    "../..",
    "\x00",
    "\n",
    "\ud800",
    [],
    {},
    [None],
)


class CheckedLog(logging.Handler):
    """Checks that every log message is one printable line, whatever the delivery contains."""

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        assert line.isprintable(), ascii(line)


@dataclass(frozen=True)
class Target:
    """A vendor's Router, and genuine deliveries for it."""

    desk: Desk
    router: Router
    genuine: tuple[tuple[bytes, Mapping[str, str]], ...]


def _make_target(make: Callable[[], Desk]) -> Target:
    desk = make()
    router = desk.router(vendor=desk.adapter(**desk.everything))
    return Target(desk, router, tuple(_make_genuine(desk.fake)))


def _make_genuine(fake: FakeHelpDesk) -> list[tuple[bytes, Mapping[str, str]]]:
    first = fake.customer_writes("<p>Hello</p>", html=True, subject="Order", attachments=["a.pdf"])
    conversation = first.conversation_id or ""
    webhooks = [
        first,
        fake.customer_writes("Where is it?", conversation=conversation),
        fake.agent_writes("On its way", conversation=conversation),
        fake.bot_greets(),
        fake.assign(conversation),
        fake.ping(),
    ]
    return [(webhook.body, webhook.headers) for webhook in webhooks]


def _pick(data: Input, values: Sequence[T]) -> T:
    index: int = data.ConsumeIntInRange(0, len(values) - 1)
    return values[index]


def _make_body(data: Input, genuine: bytes) -> bytes:
    match data.ConsumeIntInRange(0, 3):
        case 0:
            return bytes(data.ConsumeBytes(_LONGEST))
        case 1:
            return _change_bytes(data, genuine)
        case _:
            return _change_values(data, genuine)


def _change_bytes(data: Input, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(data.ConsumeIntInRange(1, 4)):
        start = data.ConsumeIntInRange(0, len(changed))
        changed[start : start + data.ConsumeIntInRange(0, 8)] = data.ConsumeBytes(data.ConsumeIntInRange(0, 8))
    return bytes(changed)


def _change_values(data: Input, body: bytes) -> bytes:
    payload = json.loads(body)
    for _ in range(data.ConsumeIntInRange(1, 3)):
        paths = list(iterate_paths(payload))
        if not paths:
            break
        *parents, last = _pick(data, paths)
        parent: Any = payload
        for name in parents:
            parent = parent[name]
        match data.ConsumeIntInRange(0, 3):
            case 0:
                del parent[last]
            case 1:
                parent[last] = [parent[last]]
            case _:
                parent[last] = _make_value(data, depth=3)
    return json.dumps(payload).encode()


def _make_value(data: Input, depth: int) -> Any:
    kind = data.ConsumeIntInRange(0, 6 if depth else 4)
    match kind:
        case 0:
            constant = _pick(data, _CONSTANTS)
            return deepcopy(constant)  # because it may be changed further
        case 1:
            return data.ConsumeInt(8)
        case 2:
            return data.ConsumeFloat()
        case 3 | 4:
            return data.ConsumeUnicode(data.ConsumeIntInRange(0, 60))
        case 5:
            return [_make_value(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))]
        case _:
            return {data.ConsumeUnicode(8): _make_value(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))}


def _make_headers(data: Input) -> dict[str, str]:
    """Create headers of any kind without a valid signature."""
    headers: dict[str, str] = {}
    for _ in range(data.ConsumeIntInRange(0, 4)):
        is_signing = data.ConsumeBool()
        name = _pick(data, _SIGNING) if is_signing else data.ConsumeUnicode(20)
        headers[name] = data.ConsumeUnicode(data.ConsumeIntInRange(0, 80))
    return headers


def _check(target: Target, body: bytes, headers: Mapping[str, str], *, genuine: Mapping[str, str]) -> None:
    unsigned = target.router.receive(body, dict(headers))
    assert unsigned.status_code in (401, 413), f"unsigned, and answered {unsigned.status_code}"
    assert unsigned.event is None
    # Unsigned headers that belong to the delivery, such as Help Scout's event, are those of the genuine one.
    signed = {**genuine, **target.desk.sign(body)}
    names = {name.lower() for name in signed}
    more = {name: value for name, value in headers.items() if name.lower() not in names}
    answer = target.router.receive(body, signed | more)
    assert answer.status_code == 200, f"signed, and answered {answer.status_code}"
    assert (answer.event is not None) == (answer.outcome.status == "accepted")
    if answer.event is not None:
        # The event may travel through a queue as JSON.
        assert Event.model_validate_json(answer.event.model_dump_json()).key == answer.event.key
        assert answer.event.key.isprintable()


def _fuzz(targets: tuple[Target, ...]) -> Callable[[bytes], None]:
    def check_input(content: bytes) -> None:
        data = atheris.FuzzedDataProvider(content)
        target = _pick(data, targets)
        body, headers = _pick(data, target.genuine)
        more = _make_headers(data)
        _check(target, _make_body(data, body), more, genuine=headers)

    return check_input


def main() -> None:
    """Fuzz until the time is up; libFuzzer exits the process."""
    log = logging.getLogger("triage")
    log.addHandler(CheckedLog())
    log.setLevel(logging.DEBUG)
    log.propagate = False
    run(_fuzz(tuple(map(_make_target, _DESKS))), "entry_points", longest=_LONGEST)


if __name__ == "__main__":
    main()
