"""Mistakes that a type checker must report. `test_typing.py` expects an error in each line with the comment `error`."""

from triage import Assign, Bucket, Close, Conversation, Reply, Router, SetPriority, Snooze, Tag, Verdict
from triage.vendors import Intercom

Assign(team=1.5)  # error
Assign(group="1")  # error
Reply()  # error
Reply(text="Hi")  # error
Tag(["a", "b"])  # error
SetPriority("highest")  # error
Snooze(3600)  # error
Close("now")  # error
Bucket("general", "Everything", Reply("Hi"))  # error
Bucket("general", "Everything", ["close"])  # error
Verdict(bucket="general", score=0.9)  # error
Conversation(id=1)  # error


def route(adapter: Intercom) -> None:
    Router(adapter, buckets=Bucket("general", "Everything"))  # error
    Router(adapter, buckets=[], classifier=lambda text: 1)  # error
    Router(adapter, buckets=[]).handle("{}", {})  # error
    assert Router(adapter, buckets=[]).handle(b"{}", {}).outcome.state  # error
    Router(Intercom, buckets=[])  # error
