"""The help desks as the shared cases need them.

Who adds a vendor adds a module with its `Desk` and names it in `DESKS`; the cases in `test_router.py` and
`vendors/test_contract.py` then run for it.
"""

from collections.abc import Mapping

from desks.base import BASE_URL, Desk, Vector, by_name
from desks.crisp import CrispDesk
from desks.front import FrontDesk
from desks.helpscout import HelpScoutDesk
from desks.intercom import IntercomDesk
from desks.zendesk import ZendeskDesk

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
