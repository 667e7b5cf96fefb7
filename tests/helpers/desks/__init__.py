"""The help desks as the shared cases need them.

Who adds a vendor adds a module with its `Desk` and names it in `DESKS`; the cases in `test_router.py` and
`vendors/test_contract.py` then run for it.
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
