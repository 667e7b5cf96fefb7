"""Clients are created on first use; async ones per event loop, and none is kept for a closed loop."""

import asyncio

from triage.io.clients import OnDemand, PerLoop


def test_each_loop_has_an_object_and_keeps_it() -> None:
    objects: PerLoop[object] = PerLoop(object)

    async def get_twice() -> tuple[object, object]:
        return objects.get(), objects.get()

    first = asyncio.run(get_twice())
    second = asyncio.run(get_twice())
    assert first[0] is first[1]
    assert first[0] is not second[0]
    assert len(objects._objects) == 1, "the closed loop's object was released"


def test_a_removed_object_is_returned_once_and_then_created_again() -> None:
    objects: PerLoop[object] = PerLoop(object)

    async def remove() -> None:
        existing = objects.get()
        assert objects.pop() is existing
        assert objects.pop() is None
        assert objects.get() is not existing

    asyncio.run(remove())


def test_warming_up_creates_the_object_only_if_a_loop_is_running() -> None:
    created: list[object] = []
    objects: PerLoop[object] = PerLoop(lambda: created.append(object()))

    async def warm_up_twice() -> None:
        objects.warm_up()
        objects.warm_up()

    objects.warm_up()
    assert created == []
    asyncio.run(warm_up_twice())
    assert len(created) == 1


def test_an_object_on_demand_is_kept_until_it_is_removed() -> None:
    created: list[object] = []

    def create() -> object:
        created.append(object())
        return created[-1]

    on_demand = OnDemand(create)
    assert (created, on_demand.pop()) == ([], None)
    assert on_demand.get() is on_demand.get() is created[0]
    assert on_demand.pop() is created[0]
    assert on_demand.get() is created[1]
