"""Fuzz the doors of all vendors, guided by coverage: `cd tests && python -m fuzz.doors SECONDS`. Needs `atheris`.

Each input becomes a delivery: bytes at random, or a genuine one with some of its bytes or JSON values changed. Unsigned
it must be refused, signed it must be answered 200, and nothing may raise. It ends with 0 if nothing was found; else the
input is kept in a file, and `python -m fuzz.doors 0 FILE` shows the failure again.

    python -m fuzz.doors 60                 one minute
    python -m fuzz.doors 60 --seed 7        with other random numbers
    python -m fuzz.doors 60 corpus/         keeps and uses interesting inputs; any option of libFuzzer may follow

Two runs of one seed differ a little, because Python and libFuzzer use addresses in memory; with
`PYTHONHASHSEED=0 setarch -R` before the command and `-runs=20000` after it, they are the same.
"""

import argparse
import importlib
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

atheris: Any = importlib.import_module("atheris")  # by name: it is no dependency, and has no types

with atheris.instrument_imports(include=["triage"]):
    from tests.helpers.desks import CrispDesk, Desk, FrontDesk, HelpScoutDesk, IntercomDesk, ZendeskDesk
    from tests.helpers.json_paths import parts
    from triage import Event, Router
    from triage.testing import FakeHelpDesk

Input: TypeAlias = Any
"""A `FuzzedDataProvider`: an input, from which values are taken piece by piece."""

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


class Lines(logging.Handler):
    """Whatever came in, what is logged is one line that can be printed."""

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        assert line.isprintable(), ascii(line)


@dataclass(frozen=True)
class Target:
    """A vendor's api, and deliveries that it may get."""

    desk: Desk
    router: Router
    genuine: tuple[tuple[bytes, Mapping[str, str]], ...]


def _target(make: Callable[[], Desk]) -> Target:
    desk = make()
    router = desk.router(vendor=desk.adapter(**desk.everything))
    return Target(desk, router, tuple(_genuine(desk.fake)))


def _genuine(fake: FakeHelpDesk) -> list[tuple[bytes, Mapping[str, str]]]:
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


def _body(data: Input, genuine: bytes) -> bytes:
    match data.ConsumeIntInRange(0, 3):
        case 0:
            return bytes(data.ConsumeBytes(_LONGEST))
        case 1:
            return _with_other_bytes(data, genuine)
        case _:
            return _with_other_values(data, genuine)


def _with_other_bytes(data: Input, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(data.ConsumeIntInRange(1, 4)):
        start = data.ConsumeIntInRange(0, len(changed))
        changed[start : start + data.ConsumeIntInRange(0, 8)] = data.ConsumeBytes(data.ConsumeIntInRange(0, 8))
    return bytes(changed)


def _with_other_values(data: Input, body: bytes) -> bytes:
    payload = json.loads(body)
    for _ in range(data.ConsumeIntInRange(1, 3)):
        places = list(parts(payload))
        if not places:
            break
        *way, last = places[data.ConsumeIntInRange(0, len(places) - 1)]
        parent: Any = payload
        for name in way:
            parent = parent[name]
        match data.ConsumeIntInRange(0, 3):
            case 0:
                del parent[last]
            case 1:
                parent[last] = [parent[last]]
            case _:
                parent[last] = _value(data, depth=3)
    return json.dumps(payload).encode()


def _value(data: Input, depth: int) -> Any:
    kind = data.ConsumeIntInRange(0, 6 if depth else 4)
    match kind:
        case 0:
            return deepcopy(_CONSTANTS[data.ConsumeIntInRange(0, len(_CONSTANTS) - 1)])  # it may be changed further
        case 1:
            return data.ConsumeInt(8)
        case 2:
            return data.ConsumeFloat()
        case 3 | 4:
            return data.ConsumeUnicode(data.ConsumeIntInRange(0, 60))
        case 5:
            return [_value(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))]
        case _:
            return {data.ConsumeUnicode(8): _value(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))}


def _headers(data: Input) -> dict[str, str]:
    """Headers of any kind, none of them signed."""
    headers: dict[str, str] = {}
    for _ in range(data.ConsumeIntInRange(0, 4)):
        known = data.ConsumeBool()
        name = _SIGNING[data.ConsumeIntInRange(0, len(_SIGNING) - 1)] if known else data.ConsumeUnicode(20)
        headers[name] = data.ConsumeUnicode(data.ConsumeIntInRange(0, 80))
    return headers


def _check(target: Target, body: bytes, headers: Mapping[str, str], *, genuine: Mapping[str, str]) -> None:
    refused = target.router.receive(body, dict(headers))
    assert refused.status_code in (401, 413), f"unsigned, and answered {refused.status_code}"
    assert refused.event is None
    # What belongs to the delivery but is not signed, such as Help Scout's event, is as in the genuine one.
    signed = {**genuine, **target.desk.sign(body)}
    names = {name.lower() for name in signed}
    more = {name: value for name, value in headers.items() if name.lower() not in names}
    answer = target.router.receive(body, signed | more)
    assert answer.status_code == 200, f"signed, and answered {answer.status_code}"
    assert (answer.event is not None) == (answer.outcome.status == "accepted")
    if answer.event is not None:
        # It may cross a queue.
        assert Event.model_validate_json(answer.event.model_dump_json()).key == answer.event.key
        assert answer.event.key.isprintable()


def _fuzz(targets: tuple[Target, ...]) -> Callable[[bytes], None]:
    def one(given: bytes) -> None:
        data = atheris.FuzzedDataProvider(given)
        target = targets[data.ConsumeIntInRange(0, len(targets) - 1)]
        body, headers = target.genuine[data.ConsumeIntInRange(0, len(target.genuine) - 1)]
        more = _headers(data)
        _check(target, _body(data, body), more, genuine=headers)

    return one


def main() -> None:
    """Fuzz until the time is over; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.doors", description="Fuzz the doors of all vendors.")
    parser.add_argument("seconds", type=int, help="for how long")
    parser.add_argument("--seed", type=int, default=4711, help="of the random numbers")
    options, more = parser.parse_known_args()
    log = logging.getLogger("triage")
    log.addHandler(Lines())
    log.setLevel(logging.DEBUG)
    log.propagate = False
    arguments = [
        sys.argv[0],
        f"-max_total_time={options.seconds}",
        f"-seed={options.seed}",
        f"-max_len={_LONGEST}",
        "-len_control=0",  # at once inputs of any length: short ones change only the first value
        "-timeout=10",
        "-print_final_stats=1",
        f"-artifact_prefix={tempfile.gettempdir()}/doors-",
        *more,
    ]
    atheris.Setup(arguments, _fuzz(tuple(map(_target, _DESKS))))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
