"""Triage for Intercom in a Flask application.

Run it with the variables of `.env.example` set: `gunicorn --chdir examples --threads 8 flask_app:app`
"""

import logging

from flask import Flask, request
from flask.typing import ResponseReturnValue

from triage import Router, default_buckets
from triage.vendors import Intercom

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)  # one line for each delivery

router = Router(Intercom.from_env(), buckets=default_buckets.from_env("INTERCOM"))
router.warm_up()

app = Flask(__name__)


@app.post("/webhooks/intercom")
def intercom() -> ResponseReturnValue:
    answer = router.handle(request.get_data(), request.headers)
    return answer.body, answer.status_code, answer.headers


@app.route("/webhooks/intercom", methods=["HEAD"])
def check() -> ResponseReturnValue:
    """Intercom asks with HEAD whether the address is right."""
    return ""
