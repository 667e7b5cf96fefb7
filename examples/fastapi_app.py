"""Triage for Intercom in a FastAPI application.

Run it with the variables of `.env.example` set: `uvicorn --app-dir examples fastapi_app:app`
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from triage import Router, default_buckets
from triage.vendors import Intercom

logging.basicConfig()
logging.getLogger("triage").setLevel(logging.INFO)  # one line for each delivery

router = Router(Intercom.from_env(), buckets=default_buckets.from_env("INTERCOM"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    router.warm_up()
    async with router:
        yield


app = FastAPI(lifespan=lifespan)


@app.head("/webhooks/intercom")
def check() -> Response:
    """Intercom asks with HEAD whether the address is right."""
    return Response()


@app.post("/webhooks/intercom")
async def intercom(request: Request) -> Response:
    answer = await router.handle_async(await request.body(), request.headers)
    return Response(answer.body, answer.status_code, answer.headers)
