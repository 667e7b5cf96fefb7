"""A FastAPI application with the library.

It is durable if `SPEED_INBOX` is set to the path of a database. `SPEED_CONCURRENCY` sets the concurrency of its worker.
"""

import gc
import logging
import os
from typing import Any

from fastapi import FastAPI, Request, Response

from triage import Router, Worker
from triage.inbox import open_inbox
from triage.vendors import Intercom

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)

path = os.environ.get("SPEED_INBOX")
concurrency = os.environ.get("SPEED_CONCURRENCY")
options: dict[str, Any] = {"concurrency": int(concurrency)} if concurrency else {}

router = Router.from_env(Intercom, inbox=open_inbox(path) if path else None)
router.warm_up()
# As docs/getting-started.md recommends.
gc.collect()
gc.freeze()

app = FastAPI(lifespan=Worker(router, **options).lifespan if path else None)


@app.head("/webhooks/intercom")
def check() -> Response:
    """Intercom checks the URL with HEAD when you save it."""
    return Response()


@app.post("/webhooks/intercom")
async def intercom(request: Request) -> Response:
    """Handle a webhook."""
    response = await router.handle_async(await request.body(), request.headers)
    return Response(response.body, response.status_code, response.headers)
