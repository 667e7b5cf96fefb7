"""A FastAPI application that triages several help desks at once, with one shared inbox.

Each help desk whose variables are set gets a Router at `/webhooks/<its name>`, and a worker. The documentation of each
help desk lists its variables. Run it with `uvicorn --app-dir examples all_desks_app:app`.
"""

import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, Response

from triage import Router, Worker
from triage.inbox import open_inbox
from triage.vendors import Crisp, Front, HelpScout, Intercom, Zendesk

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)

inbox = open_inbox(os.environ.get("TRIAGE_INBOX", "triage.db"))
routers = {
    vendor.name: Router.from_env(vendor, inbox=inbox)
    for vendor in (Crisp, Front, HelpScout, Intercom, Zendesk)
    if os.environ.get(f"{vendor.name.upper()}_TEAM_ONCALL")
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for router in routers.values():
            router.warm_up()
            await stack.enter_async_context(Worker(router).lifespan())
        gc.collect()
        gc.freeze()  # Python then does not search what was imported for garbage, which would interrupt the responses
        yield


app = FastAPI(lifespan=lifespan)


@app.head("/webhooks/{desk}")
def check(desk: str) -> Response:
    """Intercom checks the URL with HEAD when you save it."""
    return Response(status_code=200 if desk in routers else 404)


@app.get("/live/{desk}")
@app.get("/ready/{desk}")
async def health(desk: str, request: Request) -> Response:
    if desk not in routers:
        raise HTTPException(404)
    is_ready = request.url.path.startswith("/ready")
    response = await routers[desk].ready_async() if is_ready else routers[desk].live()
    return Response(response.body, response.status_code, response.headers)


@app.post("/webhooks/{desk}")
async def webhook(desk: str, request: Request, key: str = "") -> Response:
    if desk not in routers:
        raise HTTPException(404)
    # The hooks of a Crisp website are not signed. The key in their URL authenticates them.
    headers = [*request.headers.items(), (Crisp.URL_KEY, key)] if key else request.headers.items()
    response = await routers[desk].handle_async(await request.body(), headers)
    return Response(response.body, response.status_code, response.headers)
