"""Parsing an API's responses: bodies, errors, rate limits."""

import pytest

from triage import VendorError
from triage.models import Request, Response
from triage.vendors.payload import Payload
from triage.vendors.responses import build_error, parse_response

READ = Request("GET", "https://api.example.com/things/1?secret=no", idempotent=True)
WRITE = Request("POST", "https://api.example.com/things", {"body": "hi"})


def test_an_error_keeps_the_vendors_message_out_of_its_text() -> None:
    error = build_error(WRITE, Response(400, {}, b""), vendor="v", message="body 'my text' is wrong", code="bad\nline")
    assert error.vendor_message == "body 'my text' is wrong"
    assert str(error) == "v: POST /things: refused (status 400, code ?)"


def test_a_response_that_cannot_be_parsed_is_the_vendors_error() -> None:
    class Thing(Payload):
        id: str

    assert parse_response(Thing, READ, Response(200, {}, b'{"id": 1}'), vendor="v").id == "1"
    with pytest.raises(VendorError, match=r"v: GET /things/1: cannot parse the response: payload: json_invalid"):
        parse_response(Thing, READ, Response(200, {}, b"<html>"), vendor="v")
