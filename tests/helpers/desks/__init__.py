"""The help desks as the shared tests need them.

To add a vendor, add a module with its `Desk` and list it in `DESKS`. The shared tests, such as
`contract/test_router.py`, then run for it.
"""

from collections.abc import Mapping

from tests.helpers.desks.base import BASE_URL, Desk, Vector, by_name
from tests.helpers.desks.crisp import CrispDesk
from tests.helpers.desks.front import FrontDesk
from tests.helpers.desks.helpscout import HelpScoutDesk
from tests.helpers.desks.intercom import IntercomDesk
from tests.helpers.desks.zendesk import ZendeskDesk

__all__ = [
    "BASE_URL",
    "DESKS",
    "CrispDesk",
    "Desk",
    "FrontDesk",
    "HelpScoutDesk",
    "IntercomDesk",
    "Vector",
    "ZendeskDesk",
    "by_name",
]

_ALL: tuple[type[Desk], ...] = (IntercomDesk, HelpScoutDesk, ZendeskDesk, FrontDesk, CrispDesk)

DESKS: Mapping[str, type[Desk]] = {desk.name: desk for desk in _ALL}
