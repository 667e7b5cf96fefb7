"""Errors: their location is a line of the user's code, and their text never quotes a customer."""

import asyncio
import json
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import httpx
import pydantic
import pytest

from tests.helpers.desks import IntercomDesk
from tests.helpers.routing import only
from triage import Event, Tag, VendorError
from triage.errors import describe_location

SECRET = "my card number is 4111"

SITE_PACKAGES = "/venv/lib/python3.11/site-packages"
STANDARD_LIBRARY = sysconfig.get_path("stdlib")
TRIAGE = str(Path(sys.modules["triage"].__file__ or "").parent)


class Answer(pydantic.BaseModel):
    bucket: str


def call_json(text: str) -> str:
    return str(json.loads("{" + text))  # the line


def call_pydantic(text: str) -> str:
    return Answer.model_validate({"label": text}).bucket  # the line


def call_httpx(text: str) -> str:
    return httpx.get("unknown://" + text[:2]).text  # the line


def call_nothing(text: str) -> str:
    raise KeyError(text)  # the line


def call_helper(text: str) -> str:
    return call_nothing(text)


async def call_json_async(text: str) -> str:
    await asyncio.sleep(0)
    return str(json.loads("{" + text))  # the line


def find_line(function: Callable[..., Any]) -> int:
    code: CodeType = function.__code__
    lines = Path(__file__).read_text().splitlines()
    return next(number for number in range(code.co_firstlineno, len(lines)) if "# the line" in lines[number - 1])


@pytest.mark.parametrize(
    ("classify", "function", "error"),
    [
        (call_json, call_json, "JSONDecodeError"),
        (call_pydantic, call_pydantic, "ValidationError"),
        (call_httpx, call_httpx, "UnsupportedProtocol"),
        (call_nothing, call_nothing, "KeyError"),
        (call_helper, call_nothing, "KeyError"),
        (call_json_async, call_json_async, "JSONDecodeError"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_error_in_a_classifier_is_logged_with_the_line_of_its_author(
    classify: Callable[[str], Any], function: Callable[[str], Any], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes(SECRET)
    router = desk.router(classifier=classify, buckets=only(Tag("a")))
    asyncio.run(router.handle_async(webhook.body, webhook.headers))
    location = f"{error} at {__file__}:{find_line(function)}"
    assert f"the classifier raised {location}" in caplog.text
    assert SECRET not in caplog.text


def raise_within(*filenames: str) -> Exception:
    """Return an error whose traceback leads through these files, the innermost last."""
    namespace: dict[str, Any] = {}
    source = "raise KeyError('x')"
    for number, filename in enumerate(reversed(filenames)):
        exec(compile(f"def call{number}():\n    {source}\n", filename, "exec"), namespace)  # noqa: S102 - our own text
        source = f"call{number}()"
    try:
        namespace[f"call{len(filenames) - 1}"]()
    except KeyError as error:
        # Without the frame of this file, which would be a user's.
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    raise AssertionError


@pytest.mark.parametrize(
    ("filenames", "expected"),
    [
        (["/app/classifier.py"], 0),
        ([f"{TRIAGE}/engine/attempt.py", "/app/classifier.py", f"{STANDARD_LIBRARY}/json/decoder.py"], 1),
        ([f"{TRIAGE}/engine/attempt.py", "/app/classifier.py", f"{SITE_PACKAGES}/httpx/_client.py"], 1),
        ([f"{TRIAGE}/engine/attempt.py", "/app/classifier.py", f"{TRIAGE}/classifiers/rules.py"], 1),
        ([f"{TRIAGE}/engine/attempt.py", "/app/main.py", "<string>"], 1),
        ([f"{TRIAGE}/engine/attempt.py", "<stdin>", f"{STANDARD_LIBRARY}/json/decoder.py"], 1),
        # The application is installed as a package.
        ([f"{TRIAGE}/io/ports.py", f"{STANDARD_LIBRARY}/threading.py", f"{SITE_PACKAGES}/app/main.py", "<string>"], 2),
        ([f"{TRIAGE}/io/ports.py", f"{SITE_PACKAGES}/app/main.py", f"{SITE_PACKAGES}/pydantic/main.py"], 1),
        # A defect of this library, in a traceback without user code.
        ([f"{TRIAGE}/engine/attempt.py", f"{TRIAGE}/vendors/front.py"], 1),
        ([f"{TRIAGE}/engine/attempt.py", f"{STANDARD_LIBRARY}/json/decoder.py"], 0),
        ([f"{TRIAGE}/models/event.py", f"{SITE_PACKAGES}/pydantic/main.py"], 0),
        ([f"{STANDARD_LIBRARY}/json/decoder.py"], 0),
        ([f"{SITE_PACKAGES}/httpx/_client.py", "<frozen importlib._bootstrap>"], 1),
    ],
)
def test_the_location_is_the_last_line_of_the_users_code(filenames: list[str], expected: int) -> None:
    line = 2
    assert describe_location(raise_within(*filenames)) == f"KeyError at {filenames[expected]}:{line}"


def test_an_error_that_was_never_raised_has_only_a_type() -> None:
    assert describe_location(ValueError(SECRET)) == "ValueError"


def test_a_vendor_error_names_the_call_but_not_what_the_vendor_says() -> None:
    error = VendorError(
        "not found", vendor="intercom", call="GET /x", status=404, code="gone", vendor_message=SECRET, request_id="r1"
    )
    assert str(error) == "intercom: GET /x: not found (status 404, code gone, request_id r1)"
    assert str(VendorError("no answer", vendor="intercom", call="GET /x")) == "intercom: GET /x: no answer"


def test_an_invalid_event_of_ours_is_located_in_this_file() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Event.model_validate({})
    assert describe_location(caught.value).startswith(f"ValidationError at {__file__}:")
