"""The budget of an evaluation."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from triage.models import Verdict


class BudgetSpentError(Exception):
    """The budget does not suffice for another call."""


class Budget:
    """Adds up what an evaluation costs, and rejects calls that may exceed the limit.

    Args:
        limit: The limit in US dollars, or None.

    Attributes:
        paid: What the evaluation has cost so far; None if the price of a verdict is not known.
        is_spent: True once a call has been rejected. All later calls that cost money are rejected as well.
    """

    def __init__(self, limit: float | None) -> None:
        self.paid: float | None = 0.0
        self.is_spent = False
        self._limit = limit
        self._spent = 0.0
        self._committed = 0.0
        self._reserved: list[float] = []
        self._settled = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, estimate: float) -> AsyncGenerator[None]:
        """Set aside the estimated price of a call for as long as it takes.

        If the call does not fit now, wait for the calls in flight, which may cost less than estimated.

        Args:
            estimate: The price in US dollars; 0 for a verdict that is free.

        Raises:
            BudgetSpentError: The call might exceed the budget.
        """
        async with self._settled:
            while not self.fits(estimate):
                if not self._reserved:
                    self.is_spent = True
                    raise BudgetSpentError
                await self._settled.wait()
            self._reserved.append(estimate)
        try:
            yield
        finally:
            async with self._settled:
                self._reserved.remove(estimate)
                self._settled.notify_all()

    def fits(self, estimate: float) -> bool:
        """Return whether the budget suffices for a call besides those in flight.

        Args:
            estimate: The price in US dollars.
        """
        if self._limit is None or not estimate:
            return True
        if self.is_spent:
            return False
        return self._spent + self._committed + sum(self._reserved) + estimate <= self._limit

    def commit(self, estimate: float) -> bool:
        """Set aside the estimated price of a question in a batch, whose verdict comes much later.

        Args:
            estimate: The price in US dollars.

        Returns:
            False if the question might exceed the budget.
        """
        if not self.fits(estimate):
            self.is_spent = True
            return False
        self._committed += estimate
        return True

    def pay(self, verdict: Verdict, estimate: float = 0.0) -> None:
        """Add the cost of a verdict.

        Args:
            verdict: The verdict. If it was read from a recording, it is free.
            estimate: The price in US dollars that counts against the limit if the verdict does not report its cost.
        """
        cost = verdict.paid_usd
        self.paid = None if cost is None or self.paid is None else self.paid + cost
        self._spent += estimate if cost is None else cost
