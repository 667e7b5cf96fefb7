"""The Celery application that the worker processes of `test_celery.py` run."""

import os

from celery import Celery

from triage import Router
from triage.inbox import open_inbox
from triage.integrations.celery import bind
from triage.vendors import Intercom


def classify(text: str) -> str:
    return "billing" if "billing" in text else "general"


app = Celery("tests", broker=os.environ["CELERY_BROKER_URL"])
app.conf.broker_connection_retry_on_startup = True
router = Router.from_env(
    Intercom,
    classifier=classify,
    inbox=open_inbox(os.environ["TRIAGE_INBOX"]),
)
bind(app, router, sweep=0.5)
