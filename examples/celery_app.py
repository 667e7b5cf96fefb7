"""Triage for Intercom in a Flask application, with Celery as the one who works.

Run the application and a worker, both with the variables of `.env.example` set, and `CELERY_BROKER_URL` beside them:

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

router = Router.from_env(
    Intercom,
    inbox=open_inbox(os.environ.get("TRIAGE_INBOX", "triage.db")),  # or postgresql://…, for several machines
)

celery_app = Celery("helpdesk", broker=os.environ["CELERY_BROKER_URL"])
bind(celery_app, router)

flask_app = Flask(__name__)


@flask_app.post("/webhooks/intercom")
def intercom() -> ResponseReturnValue:
    answer = router.handle(request.get_data(), request.headers)
    return answer.body, answer.status_code, answer.headers
