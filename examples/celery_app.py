"""A Flask application that stores Intercom's messages, and a Celery application that routes them.

Set the variables of `.env.example` and `CELERY_BROKER_URL`, then start the application and a worker:

    gunicorn --chdir examples --threads 8 celery_app:flask_app
    celery --workdir examples --app celery_app:celery_app worker --beat
"""

import logging
import os

from celery import Celery
from flask import Flask, request
from flask.typing import ResponseReturnValue

from triage import Router
from triage.inbox import open_inbox
from triage.integrations.celery import bind
from triage.vendors import Intercom

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)

# For workers on several machines, set TRIAGE_INBOX to a postgresql:// address.
router = Router.from_env(Intercom, inbox=open_inbox(os.environ.get("TRIAGE_INBOX", "triage.db")))

celery_app = Celery("helpdesk", broker=os.environ["CELERY_BROKER_URL"])
bind(celery_app, router)

flask_app = Flask(__name__)


@flask_app.route("/webhooks/intercom", methods=["HEAD", "POST"])
def intercom() -> ResponseReturnValue:
    if request.method == "HEAD":  # Intercom checks the URL when you save it
        return ""
    response = router.handle(request.get_data(), request.headers)
    return response.body, response.status_code, response.headers


@flask_app.get("/live")
def live() -> ResponseReturnValue:
    response = router.live()
    return response.body, response.status_code, response.headers


@flask_app.get("/ready")
def ready() -> ResponseReturnValue:
    response = router.ready()  # 503 if webhooks cannot be stored, or no worker processes them
    return response.body, response.status_code, response.headers
