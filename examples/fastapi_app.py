"""Triage for Intercom in a FastAPI application: messages are stored, answered, and then routed by a worker beside it.

Run it with the variables of `.env.example` set: `uvicorn --app-dir examples fastapi_app:app`
"""

import logging
import os

from fastapi import FastAPI, Request, Response

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

app = FastAPI(lifespan=Worker(router).lifespan)


@app.head("/webhooks/intercom")
def check() -> Response:
    """Intercom asks with HEAD whether the address is right."""
    return Response()


@app.post("/webhooks/intercom")
async def intercom(request: Request) -> Response:
    answer = await router.handle_async(await request.body(), request.headers)
    return Response(answer.body, answer.status_code, answer.headers)
