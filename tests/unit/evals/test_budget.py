"""The budget: calls that might exceed it are rejected, and only those."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import Verdict
from triage.evals.budget import Budget, BudgetSpentError


def cost(usd: float | None, **fields: object) -> Verdict:
    return Verdict.model_validate({"bucket": "general", "cost_usd": usd, **fields})


async def call(budget: Budget, estimate: float, actual: float | None) -> None:
    async with budget.reserve(estimate):
        await asyncio.sleep(0)
        budget.pay(cost(actual), estimate)


def test_a_call_within_the_budget_is_allowed_and_paid() -> None:
    budget = Budget(1.0)
    asyncio.run(call(budget, 1.0, 0.75))
    assert budget.paid == 0.75
    assert not budget.is_spent


def test_a_call_that_might_exceed_the_budget_is_rejected() -> None:
    budget = Budget(1.0)
    asyncio.run(call(budget, 0.5, 0.6))
    with pytest.raises(BudgetSpentError):
        asyncio.run(call(budget, 0.5, 0.1))
    assert budget.is_spent


def test_once_the_budget_is_spent_cheaper_calls_are_rejected_as_well() -> None:
    budget = Budget(1.0)
    with pytest.raises(BudgetSpentError):
        asyncio.run(call(budget, 2.0, 2.0))
    with pytest.raises(BudgetSpentError):
        asyncio.run(call(budget, 0.1, 0.1))


def test_free_verdicts_are_allowed_after_the_budget_is_spent() -> None:
    budget = Budget(0.0)
    with pytest.raises(BudgetSpentError):
        asyncio.run(call(budget, 0.1, 0.1))
    asyncio.run(call(budget, 0.0, 0.0))
    assert budget.paid == 0.0


def test_a_call_waits_for_calls_in_flight_that_may_cost_less_than_estimated() -> None:
    budget = Budget(1.0)

    async def call_twice() -> None:
        await asyncio.gather(call(budget, 0.6, 0.4), call(budget, 0.6, 0.4))

    asyncio.run(call_twice())
    assert budget.paid == 0.8


def test_the_estimates_of_calls_in_flight_count() -> None:
    budget = Budget(1.0)

    async def call_twice() -> None:
        await asyncio.gather(call(budget, 0.6, 0.6), call(budget, 0.6, 0.6))

    with pytest.raises(BudgetSpentError):
        asyncio.run(call_twice())
    assert budget.paid == 0.6


def test_without_a_limit_every_call_is_allowed() -> None:
    budget = Budget(None)
    asyncio.run(call(budget, 1e9, 5.0))
    assert budget.paid == 5.0


def test_a_verdict_without_a_price_makes_the_total_unknown() -> None:
    budget = Budget(None)
    budget.pay(cost(0.5))
    budget.pay(cost(None))
    budget.pay(cost(0.5))
    assert budget.paid is None


def test_a_verdict_without_a_price_counts_with_its_estimate() -> None:
    budget = Budget(1.0)
    asyncio.run(call(budget, 0.8, None))
    assert not budget.fits(0.3)


def test_questions_in_batches_are_set_aside_until_the_budget_is_used_up() -> None:
    budget = Budget(1.0)
    assert [budget.commit(0.4) for _ in range(3)] == [True, True, False]
    assert budget.is_spent


def test_what_was_read_from_a_recording_is_free() -> None:
    budget = Budget(None)
    budget.pay(cost(0.75, parts=(cost(0.5, replayed=True), cost(0.25))))
    assert budget.paid == 0.25


@given(
    limit=st.floats(0, 10),
    calls=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=30),
)
def test_if_estimates_are_upper_bounds_the_budget_is_never_exceeded(
    limit: float, calls: list[tuple[float, float]]
) -> None:
    budget = Budget(limit)

    async def try_call(estimate: float, share: float) -> None:
        try:
            await call(budget, estimate, estimate * share)
        except BudgetSpentError:
            assert estimate > 0

    async def call_all() -> None:
        await asyncio.gather(*(try_call(*each) for each in calls))

    asyncio.run(call_all())
    assert budget.paid is not None
    assert budget.paid <= limit * (1 + 1e-9)
