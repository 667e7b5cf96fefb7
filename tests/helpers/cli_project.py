"""A user's project with a stored event in any state, for the tests of the commands."""

from pathlib import Path

from click.testing import CliRunner, Result

from tests.helpers.api import Api
from tests.helpers.desks import IntercomDesk
from tests.helpers.routing import handle
from tests.helpers.watched import WatchedInbox
from triage import Worker
from triage.cli.app import triage

APP = """
from pathlib import Path
from triage import Router
from triage.inbox import SQLiteInbox
from triage.vendors import Intercom

class Nested:
    number = 1

def classify(text):
    return "urgent"

def build(inbox=None):
    return Router.from_env(Intercom, classifier=classify, inbox=inbox
    )

router = build(SQLiteInbox(Path(__file__).parent / "triage.db"))
without_inbox = build()
"""


class Project:
    """A directory with an inbox and the module `helpdesk`, whose Router uses it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.desk = IntercomDesk()
        self.desk.fake.rate_limit = None
        self.path = directory / "triage.db"
        self.inbox = WatchedInbox(self.path)
        self.router = self.desk.router(inbox=self.inbox)
        self.write_app(APP)

    def write_app(self, source: str) -> None:
        (self.directory / "helpdesk.py").write_text(source)

    def store(self, text: str = "This is billing. My card is blue.") -> str:
        """Store an event and return its key."""
        handle(Api("sync"), self.router, self.desk.fake.customer_writes(text))
        return self.inbox.list_entries()[0].key

    def store_unreadable(self) -> str:
        body = b'{"this": "is not an event"}'
        self.router.handle(body, self.desk.sign(body))
        return self.inbox.list_entries()[0].key

    def store_and_route(self, text: str = "This is billing. My card is blue.") -> str:
        key = self.store(text)
        self.route()
        return key

    def store_and_dead_letter(self) -> str:
        key = self.store()
        (job,) = self.inbox.lease(1, 60)
        self.inbox.dead_letter(job, "status 403")
        return key

    def route(self, events: int = 1) -> None:
        with Worker(self.router):
            self.inbox.wait(events)

    def get_state(self, key: str) -> str | None:
        entry = self.inbox.get_entry(key)
        return entry.state if entry else None

    def run(self, *arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(triage, arguments, env={"TRIAGE_INBOX": str(self.path)})
        assert result.exit_code == exit_code, result.output
        return result
