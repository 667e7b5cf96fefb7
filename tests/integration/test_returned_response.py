"""A view that returns a `WebhookResponse` itself, not the framework's own response, fails and never answers 200."""

import asyncio
import subprocess
import sys
from typing import Any

import flask
import httpx
import pytest
from fastapi import FastAPI

from tests.helpers.events import build_event
from triage import Outcome, WebhookResponse
from triage.models import Received

EVENT = build_event()
REFUSED = WebhookResponse(401, b"{}", {}, Outcome(status="refused", reason="wrong signature"))
ACCEPTED = Received(200, b"{}", {}, Outcome(status="accepted"), EVENT)
ADVICE = "return Response(content=response.body, status_code=response.status_code, headers=response.headers)"

DJANGO = """
import django
from django.conf import settings
from django.http import HttpRequest
from django.test import Client
from django.urls import path

from triage import Outcome, WebhookResponse

def view(request: HttpRequest) -> WebhookResponse:
    return WebhookResponse(401, b"{}", {}, Outcome(status="refused"))

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
django.setup()
urlpatterns = [path("", view)]
try:
    Client().post("/")
except AttributeError as error:
    print(error)
"""


@pytest.mark.parametrize("answer", [REFUSED, ACCEPTED], ids=["response", "received"])
def test_fastapi_answers_500(answer: WebhookResponse) -> None:
    app = FastAPI()

    @app.post("/not-annotated")
    async def not_annotated():  # type: ignore[no-untyped-def]
        return answer

    @app.post("/any")
    async def annotated() -> Any:
        return answer

    @app.post("/nested")
    async def nested() -> dict[str, Any]:
        return {"answer": answer}

    for path in ("/not-annotated", "/any", "/nested"):
        status, errors = asyncio.run(_post(app, path))
        assert status == 500, path
        if path == "/not-annotated":
            assert ADVICE in errors


def test_fastapi_rejects_the_type_as_a_return_annotation() -> None:
    async def annotated() -> WebhookResponse:
        return REFUSED

    with pytest.raises(TypeError) as caught:
        FastAPI().post("/")(annotated)
    assert ADVICE in str(caught.value)


def test_flask_answers_500() -> None:
    view: Any = lambda: REFUSED  # noqa: E731 - Any, because Flask's types reject it
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=view, methods=["POST"])
    assert app.test_client().post("/").status_code == 500


def test_django_raises_which_its_server_answers_with_500() -> None:
    completed = subprocess.run([sys.executable, "-c", DJANGO], capture_output=True, check=True, text=True)
    assert completed.stdout.startswith("'WebhookResponse' object has no attribute ")


async def _post(app: Any, path: str) -> tuple[int, str]:
    """Return the status of the response, and the errors that the application raised."""
    errors: list[Exception] = []

    async def observed(*args: Any) -> None:
        try:
            await app(*args)
        except Exception as error:
            errors.append(error)
            raise

    transport = httpx.ASGITransport(observed, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.post(path)).status_code, repr(errors)
