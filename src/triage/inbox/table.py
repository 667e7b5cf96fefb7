"""The shared part of the inboxes that store events in database tables. The statements are in `queries.sql`."""

import json
import re
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import resources
from typing import Any, TypeVar, get_args

import pydantic_core
from pydantic import BaseModel, ValidationError
from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.base import (
    CLOCK_STEP,
    INTERRUPTED,
    SPENDING_KEPT,
    Inbox,
    RunsTogether,
    build_heartbeat_name,
    build_lease_lost,
    build_remaining,
    build_unreadable_key,
    find_customer,
    was_answered,
    was_handled,
)
from triage.inbox.group_commit import GroupCommit, Result, RolledBack, Statement, Take
from triage.inbox.joined import Joined
from triage.inbox.traces import Trace, build_trace, find_events
from triage.io.fork import register_at_fork
from triage.limits import Duration, parse_duration
from triage.log import get_logger
from triage.models import Customer, Entry, Event, Job, Ledger, Outcome, State

logger = get_logger("triage")

M = TypeVar("M", bound=BaseModel)

_BATCH = 100
"""How many events one transaction removes or searches at most, so that no delivery waits for it for long."""
_SMALLEST_BATCH = 10
_BATCH_SECONDS = 0.01  # seconds that a transaction of a purge should take
_LONGEST_PAUSE = 1.0  # seconds between two of them
_MOST_BLOCKED = 200  # how many events a lease reads that wait for an earlier one of their conversation
_SHORTEST_KEPT = 24 * 3600.0  # seconds; help desks repeat deliveries, and limits count the messages of a day
_PURGE_INTERVAL = 60.0  # seconds between two searches for events that need not be kept any longer

_CHANGES = ("INSERT", "UPDATE", "DELETE", "WITH")
"""How statements begin that change rows. They are committed in groups."""

_UNDECODABLE = "this version of triage cannot read the stored event"


class TableInbox(Inbox, RunsTogether):
    """An inbox that stores events in a database table. A subclass connects to the database and runs the statements."""

    in_memory = False
    batches = 1
    batch_size = sys.maxsize

    _lock_rows = ""
    """The clause at the end of a SELECT for update that skips rows locked by another transaction."""

    _each_lease = ""
    """The database's table function that returns the key and the value of each member of the JSON object :leases."""

    _patience = float("inf")
    """Seconds after which a thread no longer waits for one that is writing, if the database allows several writers."""

    def __init__(self, name: str, clock: Callable[[], float], keep: Duration | None) -> None:
        self._name = name
        self._clock = clock
        self._queries = load_queries(
            lock_rows=self._lock_rows,
            interrupted=f"'{INTERRUPTED}'",
            clock_step=str(CLOCK_STEP),
            most_blocked=str(_MOST_BLOCKED),
            each_lease=self._each_lease,
        )
        self._maintained_at = float("-inf")
        self._keep = None if keep is None else _parse_keep(keep, f"{type(self).__name__}: keep")
        self._next_purge = 0.0
        self._joined = Joined()
        self._group = GroupCommit(lambda: self._name, self._execute_alone, self._execute_together, self._patience)
        register_at_fork(self)

    @property
    @abstractmethod
    def _timeout(self) -> float:
        """Seconds that a call takes at most, all in all."""

    @abstractmethod
    def _execute_alone(self, statement: Statement) -> Result:
        """Run a statement in its own transaction."""

    @abstractmethod
    def _execute_together(self, take: Take, deadline: float) -> Sequence[Result]:
        """Run several statements in one transaction, for `GroupCommit`.

        Args:
            take: Returns the statements. It is called once the transaction has begun.
            deadline: The time until which the transaction may wait, on the monotonic clock.
        """

    @abstractmethod
    def _execute_joined(self, functions: Sequence[Callable[[], None]], deadline: float) -> None:
        """Call functions whose statements `_joined` runs in one transaction, for `run_together`.

        Args:
            functions: The functions.
            deadline: The time until which the transaction may wait, on the monotonic clock.

        Raises:
            RolledBack: The transaction has certainly changed nothing.
            InboxError: It is unknown whether it was committed.
        """

    @abstractmethod
    def before_fork(self) -> None:
        """Wait until no thread uses the database's library, and block all threads during the fork."""

    @abstractmethod
    def after_fork(self, *, child: bool) -> None:
        """Unblock the threads. The child opens its own connections.

        Args:
            child: True in the child process.
        """

    @override
    def run_together(self, functions: Sequence[Callable[[], None]]) -> None:
        try:
            self._execute_joined(functions, time.monotonic() + self._timeout)
        except RolledBack:
            for function in functions:
                function()

    @override
    def add(self, event: Event, delay: float = 0.0, *, after_dry_run: bool = False) -> bool:
        customer = event.customer
        owner = event.owner
        return self._change(
            "add_after_dry_run" if after_dry_run else "add",
            delay=delay,
            key=event.key,
            owner=owner,
            conversation=f"{owner}:{event.account}:{event.conversation_id}",
            customer=_remove_unstorable(customer.id),
            email=_remove_unstorable(customer.email).lower(),
            event=event.model_dump_json(exclude={"raw"}),
            body=event.raw,
        )

    @override
    def dead_letter_unreadable(self, owner: str, body: bytes, error: str) -> bool:
        key = build_unreadable_key(owner, body)
        return self._change("dead_letter_unreadable", key=key, owner=owner, body=body, error=error)

    @override
    def lease(self, limit: int, seconds: float, owner: str | None = None, *, interrupted: bool = True) -> Sequence[Job]:
        self._maintain()
        self._purge_expired()
        values = {"limit": limit, "seconds": seconds, "owner": owner, "interrupted": int(interrupted)}
        rows = self._fetch("lease" if owner is None else "lease_owned", **values)
        # Do not read all events that wait for an earlier one of their conversation, because there can be many.
        if not rows and owner is not None and self._fetch("find_horizon", owner=owner, limit=limit):
            rows = self._fetch("lease_heads", **values)
        return self._parse_jobs(rows, seconds)

    @override
    def lease_key(self, key: str, seconds: float) -> Job | None:
        rows = self._fetch("lease_key", key=key, seconds=seconds)
        return next(iter(self._parse_jobs(rows, seconds)), None)

    @override
    def record(self, job: Job, ledger: Ledger) -> None:
        self._settle("record", job, ledger, seconds=job.lease)

    @override
    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        # A worker that lost a lease may have leased the event again.
        leases = {job.event.key: job.fencing_token for job in sorted(jobs, key=lambda job: job.fencing_token)}
        if leases:
            self._run("extend", leases=json.dumps(leases), seconds=seconds)

    @override
    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        customer = find_customer(job, ledger)
        self._settle(
            "finish",
            job,
            ledger,
            state="planned" if outcome.status == "planned" else "finished",
            outcome=outcome.model_dump_json(),
            handled=int(was_handled(outcome)),
            replied=int(was_answered(outcome)),
            customer=_remove_unstorable(customer.id),
            email=_remove_unstorable(customer.email).lower(),
        )

    @override
    def retry(self, job: Job, error: str, seconds: float, ledger: Ledger | None = None) -> None:
        self._settle("retry", job, ledger, seconds=seconds, error=error)

    @override
    def dead_letter(self, job: Job, error: str, ledger: Ledger | None = None, outcome: Outcome | None = None) -> None:
        settled = None if outcome is None else outcome.model_dump_json()
        self._settle("dead_letter", job, ledger, error=error, outcome=settled)

    @override
    def list_overdue(self, limit: int, seconds: float, owner: str | None = None) -> Sequence[str]:
        self._maintain()
        self._purge_expired()
        query = "list_overdue" if owner is None else "list_overdue_owned"
        return [key for (key,) in self._fetch(query, limit=limit, seconds=seconds, owner=owner)]

    @override
    def list_related(self, key: str, limit: int) -> Sequence[Entry]:
        return [_parse_entry(row) for row in self._fetch("list_related", key=key, limit=limit)]

    @override
    def count_replies(self, owner: str, customer: Customer, seconds: float) -> int:
        rows = self._fetch(
            "count_replies",
            owner=owner,
            customer=_remove_unstorable(customer.id),
            email=_remove_unstorable(customer.email).lower(),
            seconds=seconds,
        )
        return int(rows[0][0])

    @override
    def set_pause(self, name: str, seconds: float) -> None:
        self._change_shared("set_pause", name=name, seconds=seconds)

    @override
    def get_pause(self, name: str) -> float:
        rows = self._fetch("get_pause", name=name)
        return max(0.0, rows[0][0]) if rows else 0.0

    @override
    def add_spending(self, name: str, amount: float) -> None:
        self._change_shared("add_spending", name=name, amount=amount)

    @override
    def get_spending(self, name: str) -> float:
        rows = self._fetch("get_spending", name=name)
        return float(rows[0][0]) if rows else 0.0

    @override
    def record_heartbeat(self, owner: str) -> None:
        self._change_shared("record_heartbeat", name=build_heartbeat_name(owner))

    @override
    def get_heartbeat_age(self, owner: str) -> float | None:
        rows = self._fetch("get_heartbeat_age", name=build_heartbeat_name(owner))
        return max(0.0, rows[0][0]) if rows else None

    @override
    def get_lag(self, owner: str | None = None) -> float:
        owners = [owner] if owner is not None else [name for (name,) in self._fetch("list_owners")]
        # By owner, because the index of the open events begins with it.
        rows = [row for name in owners for row in self._fetch("get_lag", owner=name)]
        return max((seconds for (seconds,) in rows), default=0.0)

    @override
    def list_entries(
        self, state: State | None = None, *, limit: int = 100, before: int | None = None
    ) -> Sequence[Entry]:
        queries = {None: "list_entries", "finished": "list_entries", "ready": "list_open", "leased": "list_open"}
        query = queries.get(state, "list_set_aside")
        return [_parse_entry(row) for row in self._fetch(query, state=state, before=before, limit=limit)]

    @override
    def get_entry(self, key: str) -> Entry | None:
        rows = self._fetch("get_entry", key=key)
        return _parse_entry(rows[0]) if rows else None

    @override
    def redrive(self, key: str) -> bool:
        return self._change("redrive", key=key)

    @override
    def reopen(self, key: str, ledger: Ledger) -> bool:
        return self._change("reopen", key=key, ledger=ledger.model_dump_json())

    @override
    def park(self, key: str, reason: str) -> bool:
        return self._change("park", key=key, reason=reason)

    @override
    def purge(self, before: float, *, dead: bool = False) -> int:
        self._run("purge_limits", before=before, kept=SPENDING_KEPT)
        total, limit = 0, _BATCH
        while True:
            started = time.monotonic()
            removed = self._purge_batch(before, limit, dead=dead)
            seconds = time.monotonic() - started
            total += removed
            if removed < limit:
                self._erase_removed()
                return total
            self._tidy()
            # Let others write for as long as they had to wait, which depends on the disk and on what else it does.
            time.sleep(min(seconds, _LONGEST_PAUSE))
            fitting = limit * _BATCH_SECONDS / max(seconds, 0.001)
            limit = round(min(max(fitting, _SMALLEST_BATCH), _BATCH))

    def _tidy(self) -> None:
        """Do what the database would otherwise do during a later commit, which may be that of a delivery."""

    def _purge_batch(self, before: float, limit: int, *, dead: bool) -> int:
        return self._run("purge", before=before, dead=int(dead), limit=limit)[1]

    def _purge_expired(self) -> None:
        """Remove some of the events that need not be kept any longer, if it is time to look for them."""
        if self._keep is None or time.monotonic() < self._next_purge:
            return
        self._next_purge = time.monotonic() + _PURGE_INTERVAL
        before = self._fetch("get_time")[0][0] - self._keep
        self._run("purge_limits", before=before, kept=SPENDING_KEPT)
        if self._purge_batch(before, _BATCH, dead=False) == _BATCH:
            self._next_purge = 0.0  # the next call removes more

    @override
    def forget(self, customer: str) -> int:
        if not customer:
            return 0
        numbers = find_events(customer, self._find_mentions, self._find_conversation)
        removed = self._run_each("remove", [{"number": number} for number in numbers])
        if not self._erase_removed():
            which = (
                "1 event was removed, but copies of its"
                if removed == 1
                else f"{removed} events were removed, but copies of their"
            )
            raise InboxError(f"{which} text remain, because another program is reading the inbox. Repeat this later.")
        if removed < len(numbers):
            raise build_remaining(removed, len(numbers))
        return removed

    def _erase_removed(self) -> bool:
        """Erase the remains of removed rows from the database; return False if others prevent that."""
        return True

    def _find_mentions(self, text: str) -> Iterator[Trace]:
        """Yield the events that contain a text as JSON, in whatever case."""
        storable = _remove_unstorable(text)
        # As a JSON string, without the quotes around it.
        written = re.sub(r"([!%_])", r"!\1", json.dumps(text.lower(), ensure_ascii=False)[1:-1])
        values = {"customer": storable, "email": storable.lower(), "pattern": _remove_unstorable(f"%{written}%")}
        last = self._fetch("get_last_number")[0][0]
        for after in range(0, last, _BATCH):
            yield from map(_parse_trace, self._fetch("find_mentions", after=after, until=after + _BATCH, **values))

    def _find_conversation(self, conversation: str) -> Iterator[Trace]:
        yield from map(_parse_trace, self._fetch("find_conversation", conversation=conversation))

    @override
    def count_states(self, owner: str | None = None) -> Mapping[str, int]:
        return dict.fromkeys(get_args(State), 0) | dict(self._fetch("count_states", owner=owner))

    def _maintain(self) -> None:
        """Repair and tidy up, once a minute."""
        now = self._clock()
        if 0 <= now - self._maintained_at < CLOCK_STEP:
            return
        self._maintained_at = now
        self._rebase()
        self._merge_counts()

    def _rebase(self) -> None:
        """Correct the times of events if the clock was set back, perhaps while other processes were writing."""
        events = self._run("rebase")[1]
        if events:
            logger.warning("the clock was set back: the times of %s events in the inbox were corrected", events)

    def _merge_counts(self) -> None:
        """Merge the rows from which `count_states` computes its result, if there can be many."""

    def _parse_jobs(self, rows: Iterable[Any], seconds: float) -> list[Job]:
        """Parse leased rows, and dead-letter those that cannot be parsed, because they would fail again and again."""
        jobs: list[Job] = []
        for number, key, owner, conversation, event, body, ledger, attempts, fencing_token, received, error in sorted(
            rows
        ):
            try:
                job = Job(
                    event=_parse_event(event, body),
                    ledger=Ledger.model_validate_json(ledger),
                    attempts=attempts,
                    fencing_token=fencing_token,
                    received=received,
                    lease=seconds,
                    interrupted=error == INTERRUPTED,
                )
            except ValueError:
                # Not `logger.exception`: the error may quote stored data.
                fields = {"router": owner, "conversation_id": conversation.rpartition(":")[2], "key": key}
                logger.error("the event was dead-lettered: %s", _UNDECODABLE, extra=fields)  # noqa: TRY400
                self._change("dead_letter_undecodable", number=number, error=_UNDECODABLE)
            else:
                jobs.append(job)
        return jobs

    def _settle(self, query: str, job: Job, ledger: Ledger | None, **values: Any) -> None:
        """Change a leased event, or raise `LeaseLost`."""
        values["ledger"] = None if ledger is None else ledger.model_dump_json()
        if not self._change(query, key=job.event.key, fencing_token=job.fencing_token, **values):
            raise build_lease_lost(job.event.key)

    def _change(self, query: str, **values: Any) -> bool:
        """Run a statement; return whether it changed a row."""
        return self._run(query, **values)[1] > 0

    def _change_shared(self, query: str, **values: Any) -> None:
        """Run a statement that changes a row which all workers change."""
        if self._joined.is_open:
            self._joined.postpone(self._build_statement(query, values))
        else:
            self._run(query, **values)

    def _fetch(self, query: str, **values: Any) -> list[Any]:
        """Run a statement; return its rows."""
        return self._run(query, **values)[0]

    def _run(self, query: str, **values: Any) -> Result:
        """Run a statement of `queries.sql`; return the rows and the number of changed rows."""
        return self._execute(self._queries[query], values | {"now": self._clock()})

    def _run_each(self, query: str, parameters: Sequence[Mapping[str, Any]]) -> int:
        """Run a statement with each of several sets of parameters; return the number of changed rows."""
        changed = 0
        for start in range(0, len(parameters), _BATCH):
            statements = [self._build_statement(query, values) for values in parameters[start : start + _BATCH]]
            try:
                results = self._execute_together(partial(tuple, statements), statements[0].deadline)
            except RolledBack:
                results = [self._execute_alone(statement) for statement in statements]
            changed += sum(number for _, number in results)
        return changed

    def _execute(self, sql: str, values: Mapping[str, Any]) -> Result:
        """Run a statement; return the rows and the number of changed rows. Changes are committed."""
        statement = Statement(sql, values, time.monotonic() + self._timeout)
        if self._joined.is_open:
            return self._joined.run(statement)
        return self._group.run(statement) if sql.startswith(_CHANGES) else self._execute_alone(statement)

    def _build_statement(self, query: str, values: Mapping[str, Any]) -> Statement:
        """Build a statement of `queries.sql`."""
        return Statement(self._queries[query], {**values, "now": self._clock()}, time.monotonic() + self._timeout)


def _parse_keep(keep: Duration, where: str) -> float:
    seconds = parse_duration(keep, where)
    if seconds < _SHORTEST_KEPT:
        raise ConfigurationError(f"{where} must be at least '1d', not {keep!r}. For thirty days, write '30d'.")
    return seconds


def load_queries(**fragments: str) -> dict[str, str]:
    """Read the statements of `queries.sql` by name.

    Args:
        fragments: Text for the placeholders that are not the name of a statement.
    """
    text = resources.files("triage.inbox").joinpath("queries.sql").read_text("utf-8")
    queries = dict(fragments)
    for section in text.split("-- name: ")[1:]:
        name, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        queries[name] = "\n".join(lines).strip().removesuffix(";").format_map(queries)
    return queries


def _parse_entry(row: Any) -> Entry:
    number, key, state, due, attempts, received, changed, handled, error, event, body, ledger, outcome = row
    return Entry(
        number=number,
        key=key,
        state=state,
        due=due,
        attempts=attempts,
        received=received,
        changed=changed,
        handled=handled,
        error=error,
        event=_try_parsing_event(event, body),
        ledger=_parse_document(Ledger, ledger) or Ledger(),
        outcome=_parse_document(Outcome, outcome),
    )


def _parse_trace(row: Any) -> Trace:
    number, owner, conversation, customer, email, event, body, ledger = row
    stored = Customer(id=customer or None, email=email or None)
    return build_trace(
        number, owner, conversation, stored, _try_parsing_event(event, body), _parse_document(Ledger, ledger)
    )


def _parse_event(event: str, body: bytes) -> Event:
    """Parse a stored event, whose raw body has a column of its own.

    Raises:
        ValueError: Another version wrote it.
    """
    data = pydantic_core.from_json(event, cache_strings="keys")
    return Event.model_validate({**data, "raw": body} if isinstance(data, dict) else data)


def _try_parsing_event(event: str | None, body: bytes | None) -> Event | None:
    """Parse a stored event, or return None if there is none or another version wrote it."""
    with suppress(ValueError):
        return _parse_event(event, body) if event and body is not None else None
    return None


def _parse_document(model: type[M], text: str | None) -> M | None:
    """Parse a stored document, or return None if another version wrote it, so that the other columns can be shown."""
    with suppress(ValidationError):
        return model.model_validate_json(text) if text else None
    return None


def _remove_unstorable(text: str | None) -> str:
    # PostgreSQL cannot store NUL in text, and neither database can store a lone surrogate.
    return (text or "").replace("\0", "").encode("utf-8", "replace").decode()
