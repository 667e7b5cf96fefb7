"""Where events are kept from the moment they are acknowledged until they are done with."""

from triage.inbox.sqlite import SQLiteInbox

__all__ = ["SQLiteInbox"]
