"""The adapters, one module for each help desk."""

from triage.vendors.intercom import Intercom

__all__ = ["Intercom"]
