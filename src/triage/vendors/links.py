"""Links to conversations in the web applications of the help desks."""

from triage.models import Event
from triage.vendors.base import HelpDesk
from triage.vendors.crisp import Crisp
from triage.vendors.front import Front
from triage.vendors.helpscout import HelpScout
from triage.vendors.intercom import Intercom
from triage.vendors.zendesk import Zendesk

_ADAPTERS: dict[str, type[HelpDesk]] = {
    adapter.name: adapter for adapter in (Crisp, Front, HelpScout, Intercom, Zendesk)
}


def build_link(event: Event) -> str | None:
    """Return the address at which people read the conversation of an event, or None if it is not known.

    Args:
        event: A stored event. Its adapter need not be configured.
    """
    adapter = _ADAPTERS.get(event.vendor)
    return adapter.link(event) if adapter else None
