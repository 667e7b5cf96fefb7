"""Let functions that call an inbox share one transaction."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from triage.errors import InboxError
from triage.inbox.group_commit import Result, RolledBack, Statement


class Joined(threading.local):
    """The open transaction of which the statements of a thread are a part, if there is one."""

    def __init__(self) -> None:
        self._run: Callable[[Statement], Result] | None = None
        self._error: InboxError | None = None
        self._postponed: list[Statement] = []

    @property
    def is_open(self) -> bool:
        """True while this thread calls functions that share a transaction."""
        return self._run is not None

    def call(self, functions: Sequence[Callable[[], None]], run: Callable[[Statement], Result]) -> None:
        """Call functions, until one of their statements fails.

        Args:
            functions: The functions, which handle their errors themselves.
            run: Runs a statement in a transaction that has begun, or raises `InboxError`.

        Raises:
            RolledBack: A statement failed, so the transaction must be rolled back.
        """
        self._run, self._error, self._postponed = run, None, []
        try:
            for function in (*functions, self._run_postponed):
                function()
                if self._error is not None:
                    raise RolledBack from self._error
        finally:
            self._run = self._error = None

    def run(self, statement: Statement) -> Result:
        """Run a statement in the transaction.

        Args:
            statement: The statement.

        Raises:
            InboxError: It failed.
        """
        assert self._run is not None  # noqa: S101 - the caller checks it
        try:
            return self._run(statement)
        except InboxError as err:
            self._error = err
            raise

    def postpone(self, statement: Statement) -> None:
        """Run a statement at the end of the transaction, so that other transactions do not wait long for its row.

        Args:
            statement: The statement, whose parameter `name` is the key of the row.
        """
        self._postponed.append(statement)

    def _run_postponed(self) -> None:
        # In the same order in every transaction, so that two of them do not wait for each other.
        with suppress(InboxError):
            for statement in sorted(self._postponed, key=lambda statement: str(statement.values["name"])):
                self.run(statement)
