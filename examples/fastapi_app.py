"""A FastAPI application that stores Intercom's messages, and a worker in the same process that routes them.

Set the variables of `.env.example` and run it with `uvicorn --app-dir examples fastapi_app:app`.
"""

import gc
import logging
import os

from fastapi import FastAPI, Request, Response

from triage import Router, Worker
from triage.inbox import open_inbox
from triage.vendors import Intercom

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)  # one line per webhook, and one per attempt to route it

router = Router.from_env(Intercom, inbox=open_inbox(os.environ.get("TRIAGE_INBOX", "triage.db")))
router.warm_up()
gc.collect()
gc.freeze()  # Python then does not search what was imported for garbage, which would interrupt the responses

app = FastAPI(lifespan=Worker(router).lifespan)


@app.head("/webhooks/intercom")
def check() -> Response:
    """Intercom checks the URL with HEAD when you save it."""
    return Response()


@app.get("/live")
def live() -> Response:
    """For a supervisor that restarts a process that does not respond."""
    response = router.live()
    return Response(response.body, response.status_code, response.headers)


@app.get("/ready")
async def ready() -> Response:
    """For monitoring: 503 if webhooks cannot be stored, or no worker processes them."""
    response = await router.ready_async()
    return Response(response.body, response.status_code, response.headers)


@app.post("/webhooks/intercom")
async def intercom(request: Request) -> Response:
    response = await router.handle_async(await request.body(), request.headers)
    return Response(response.body, response.status_code, response.headers)
