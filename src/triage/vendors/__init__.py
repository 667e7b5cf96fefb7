"""The adapters, one module for each help desk."""

from typing import TYPE_CHECKING

from triage.lazy import import_on_access

if TYPE_CHECKING:
    from triage.vendors.crisp import Crisp
    from triage.vendors.front import Front
    from triage.vendors.helpscout import HelpScout
    from triage.vendors.intercom import Intercom
    from triage.vendors.zendesk import Zendesk

__all__ = ["Crisp", "Front", "HelpScout", "Intercom", "Zendesk"]

_MODULES = {
    "crisp": ("Crisp",),
    "front": ("Front",),
    "helpscout": ("HelpScout",),
    "intercom": ("Intercom",),
    "zendesk": ("Zendesk",),
}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name
    __getattr__ = import_on_access(__name__, _MODULES)


def __dir__() -> list[str]:
    """Return all names, so that editors and interactive shells suggest them."""
    return sorted({*globals(), *__all__})
