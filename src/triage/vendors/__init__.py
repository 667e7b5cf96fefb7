"""The adapters, one module for each help desk."""

from triage.vendors.helpscout import HelpScout
from triage.vendors.intercom import Intercom

__all__ = ["HelpScout", "Intercom"]
