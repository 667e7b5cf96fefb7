"""The adapters, one module for each help desk."""

from triage.vendors.crisp import Crisp
from triage.vendors.front import Front
from triage.vendors.helpscout import HelpScout
from triage.vendors.intercom import Intercom
from triage.vendors.zendesk import Zendesk

__all__ = ["Crisp", "Front", "HelpScout", "Intercom", "Zendesk"]
