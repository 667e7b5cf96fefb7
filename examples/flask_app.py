"""A Flask application that stores Intercom's messages, and a worker in the same process that routes them.

Set the variables of `.env.example` and run it with `gunicorn --chdir examples --threads 8 flask_app:app`. You can use
several processes, with or without `--preload`, because they share the inbox.
"""

import gc
import logging
import os

from flask import Flask, request
from flask.typing import ResponseReturnValue

from triage import Router, Worker
from triage.inbox import open_inbox
from triage.vendors import Intercom

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)  # one line per webhook, and one per attempt to route it

router = Router.from_env(Intercom, inbox=open_inbox(os.environ.get("TRIAGE_INBOX", "triage.db")))
router.warm_up()
gc.collect()
gc.freeze()  # Python then does not search what was imported for garbage, which would interrupt the responses
Worker(router).start()

app = Flask(__name__)


@app.route("/webhooks/intercom", methods=["HEAD", "POST"])
def intercom() -> ResponseReturnValue:
    if request.method == "HEAD":  # Intercom checks the URL when you save it
        return ""
    response = router.handle(request.get_data(), request.headers)
    return response.body, response.status_code, response.headers


@app.get("/live")
def live() -> ResponseReturnValue:
    response = router.live()
    return response.body, response.status_code, response.headers


@app.get("/ready")
def ready() -> ResponseReturnValue:
    response = router.ready()  # 503 if webhooks cannot be stored, or no worker processes them
    return response.body, response.status_code, response.headers
