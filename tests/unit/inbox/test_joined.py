"""Functions that share one transaction."""

from collections.abc import Callable
from typing import Any

import pytest

from triage.errors import InboxError
from triage.inbox.group_commit import Result, RolledBack, Statement
from triage.inbox.joined import Joined


class FakeTransaction:
    """Runs statements, and rejects those that are wrong."""

    def __init__(self) -> None:
        self.joined = Joined()
        self.statements: list[str] = []

    def execute(self, statement: Statement) -> Result:
        if statement.sql == "wrong":
            raise InboxError("the statement is wrong")
        self.statements.append(f"{statement.sql} {statement.values.get('name', '')}".strip())
        return [], 1

    def run(self, sql: str) -> Callable[[], None]:
        """Return a function that runs a statement and ignores an error."""

        def function() -> None:
            assert self.joined.is_open
            try:
                self.joined.run(Statement(sql, {}, 0.0))
            except InboxError:
                self.statements.append("ignored")

        return function

    def postpone(self, sql: str, name: str) -> Callable[[], None]:
        return lambda: self.joined.postpone(Statement(sql, {"name": name}, 0.0))


def test_no_further_function_is_called_once_a_statement_has_failed() -> None:
    transaction = FakeTransaction()
    with pytest.raises(RolledBack):
        transaction.joined.call([transaction.run(sql) for sql in ("a", "wrong", "b")], transaction.execute)
    assert transaction.statements == ["a", "ignored"]
    assert not transaction.joined.is_open


def test_statements_about_shared_rows_are_run_last_and_in_the_same_order_in_every_transaction() -> None:
    transaction = FakeTransaction()
    functions = [
        transaction.postpone("spend", "today"),
        transaction.postpone("pause", "claude"),
        transaction.postpone("spend again", "today"),
        transaction.run("record"),
    ]
    transaction.joined.call(functions, transaction.execute)
    assert transaction.statements == ["record", "pause claude", "spend today", "spend again today"]
    transaction.joined.call([], transaction.execute)
    assert len(transaction.statements) == 4, "they are run once"


def test_a_transaction_is_rolled_back_if_a_postponed_statement_fails() -> None:
    transaction = FakeTransaction()
    with pytest.raises(RolledBack):
        transaction.joined.call([transaction.postpone("wrong", "today")], transaction.execute)
    assert not transaction.joined.is_open


def test_a_transaction_ends_if_a_function_raises() -> None:
    transaction = FakeTransaction()

    def interrupt() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transaction.joined.call([interrupt], transaction.execute)
    assert not transaction.joined.is_open
