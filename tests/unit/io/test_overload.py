"""An overload is reported to whoever started the work."""

import asyncio

from triage.io.overload import listen_for_overload, report_overload


def test_each_task_reports_to_its_own_listener() -> None:
    reported: list[str] = []

    async def work(name: str) -> None:
        with listen_for_overload(lambda: reported.append(name)):
            await asyncio.sleep(0)
            await asyncio.to_thread(report_overload)

    async def main() -> None:
        await asyncio.gather(work("first"), work("second"))

    asyncio.run(main())
    assert sorted(reported) == ["first", "second"]


def test_a_report_without_a_listener_has_no_effect() -> None:
    reported: list[None] = []
    with listen_for_overload(lambda: reported.append(None)):
        pass
    report_overload()
    assert reported == []
