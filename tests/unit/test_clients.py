"""Clients are made at their first use; async ones for each event loop, and none is kept for loops that are closed."""

import asyncio

from triage.io.clients import OnDemand, PerLoop


def test_each_loop_has_its_own_and_keeps_it() -> None:
    things: PerLoop[object] = PerLoop(object)

    async def twice() -> tuple[object, object]:
        return things.get(), things.get()

    first = asyncio.run(twice())
    second = asyncio.run(twice())
    assert first[0] is first[1]
    assert first[0] is not second[0]
    assert len(things._things) == 1, "that of the closed loop was let go"


def test_it_is_given_up_to_whoever_closes_it() -> None:
    things: PerLoop[object] = PerLoop(object)

    async def given_up() -> None:
        thing = things.get()
        assert things.pop() is thing
        assert things.pop() is None
        assert things.get() is not thing

    asyncio.run(given_up())


def test_it_is_made_ahead_of_time_where_a_loop_is_running() -> None:
    made: list[object] = []
    things: PerLoop[object] = PerLoop(lambda: made.append(object()))

    async def warmed_up() -> None:
        things.warm_up()
        things.warm_up()

    things.warm_up()
    assert made == []
    asyncio.run(warmed_up())
    assert len(made) == 1


def test_what_is_made_on_demand_is_kept_until_it_is_given_up() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    one = OnDemand(make)
    assert (made, one.pop()) == ([], None)
    assert one.get() is one.get() is made[0]
    assert one.pop() is made[0]
    assert one.get() is made[1]
