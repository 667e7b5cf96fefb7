"""Triage for Intercom in a Flask application: messages are stored, answered, and then routed by a worker beside it.

Run it with the variables of `.env.example` set: `gunicorn --chdir examples --threads 8 flask_app:app`. More processes
are fine, with `--preload` too: they share the inbox.
"""

import logging
import os

from flask import Flask, request
from flask.typing import ResponseReturnValue

from triage import Router, Worker
from triage.inbox import open_inbox
from triage.vendors import Intercom

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)  # one line for each delivery

router = Router.from_env(
    Intercom,
    inbox=open_inbox(os.environ.get("TRIAGE_INBOX", "triage.db")),
)
router.warm_up()
Worker(router).start()

app = Flask(__name__)


@app.post("/webhooks/intercom")
def intercom() -> ResponseReturnValue:
    answer = router.handle(request.get_data(), request.headers)
    return answer.body, answer.status_code, answer.headers


@app.route("/webhooks/intercom", methods=["HEAD"])
def check() -> ResponseReturnValue:
    """Intercom asks with HEAD whether the address is right."""
    return ""
