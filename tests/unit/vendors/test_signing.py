"""Only signatures computed with one of our secrets are accepted, and no input makes the check raise."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import ConfigurationError
from triage.models import Delivery
from triage.vendors.signing import Secrets, decode_base64, decode_hex, explain_rejection, explain_time


def sha1(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha1).digest()


def test_each_of_the_secrets_is_accepted_while_they_are_rotated() -> None:
    secrets = Secrets(["new", "old"], name="the secret")
    assert secrets.verify(b"body", sha1(b"new", b"body"), "sha1")
    assert secrets.verify(b"body", sha1(b"old", b"body"), "sha1")
    assert not secrets.verify(b"body", sha1(b"other", b"body"), "sha1")


def test_the_algorithm_is_ours_to_choose() -> None:
    assert not Secrets("key", name="the secret").verify(b"body", sha1(b"key", b"body"), "sha256")


@pytest.mark.parametrize("signature", [None, b"", b"short"])
def test_what_is_no_signature_is_refused(signature: bytes | None) -> None:
    assert not Secrets("key", name="the secret").verify(b"body", signature, "sha1")


@pytest.mark.parametrize("secrets", ["", "  ", [], ["good", ""]])
def test_an_empty_secret_is_refused_when_it_is_configured(secrets: str | list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"client_secret is empty.*Set it"):
        Secrets(secrets, name="client_secret")


def test_secrets_do_not_show_themselves() -> None:
    assert "hush" not in repr(Secrets("hush", name="the secret"))


@given(st.binary(min_size=1))
def test_hex_has_one_spelling(data: bytes) -> None:
    assert decode_hex(data.hex()) == data
    assert decode_hex(f" {data.hex()}") is None
    assert decode_hex(data.hex() + "0") is None


@given(st.text())
def test_any_text_is_decoded_or_refused(text: str) -> None:
    for decode, encode in ((decode_hex, bytes.hex), (decode_base64, lambda data: base64.b64encode(data).decode())):
        decoded = decode(text)
        assert decoded is None or encode(decoded) == text


def test_base64_has_one_spelling() -> None:
    assert decode_base64("aGk=") == b"hi"
    assert decode_base64("aGk") is None, "without padding"
    assert decode_base64("aGl=") is None, "the same bytes, spelled with other unused bits"
    assert decode_base64("aGk\n=") is None
    assert decode_base64("é") is None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "X-Signature is absent: there are no headers at all"),
        ({"host": "example.com"}, "X-Signature is absent"),
        ({"x-signature": " ", "host": "example.com"}, "X-Signature is absent"),
        (
            {"http_x_signature": "abc"},
            (
                "X-Signature is absent: the names are those of a WSGI environment (HTTP_X_SIGNATURE); pass the headers "
                "of your framework's request instead"
            ),
        ),
        (
            {"x-front-signature": "abc"},
            (
                "X-Signature is absent: the delivery is signed by Front, with X-Front-Signature; check which URL is "
                "registered at which help desk"
            ),
        ),
        ({"x-signature": "['abc']"}, "X-Signature is a list, not text; pass one value for each header"),
        ({"x-signature": "abc"}, "X-Stamp is absent, and X-Signature covers it"),
        (
            {"x-signature": "abc", "x-stamp": "1"},
            (
                "X-Signature does not fit the app's secret and these bytes; check the secret, and pass the body as it "
                "was received"
            ),
        ),
    ],
)
def test_a_rejection_says_why_the_headers_do_not_fit(headers: dict[str, str], reason: str) -> None:
    delivery = Delivery(b"{}", headers, 0.0)
    assert explain_rejection(delivery, "X-Signature", "the app's secret", stamp="X-Stamp") == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty: a proxy or a middleware has read it"),
        (base64.b64encode(b'{"type": "ping"}'), "the body is base64; decode it first"),
        (base64.b64encode(b'{\n  "type": "ping"}'), "the body is base64; decode it first"),
        (b"{}", "X-Signature does not fit"),
        (b"[]", "X-Signature does not fit"),
        (b"bm8gSlNPTg==", "X-Signature does not fit"),
    ],
)
def test_a_rejection_says_what_happened_to_the_body(body: bytes, reason: str) -> None:
    delivery = Delivery(body, {"x-signature": "abc"}, 0.0)
    assert explain_rejection(delivery, "X-Signature", "the app's secret").startswith(reason)


@given(st.dictionaries(st.text(), st.text()), st.binary(), st.text(max_size=10))
def test_a_rejection_never_quotes_the_delivery(headers: dict[str, str], body: bytes, value: str) -> None:
    marked = {**headers, "x-signature": f"SECRET{value}"}
    reason = explain_rejection(Delivery(b"SECRET" + body, marked, 0.0), "X-Signature", "the app's secret")
    assert "SECRET" not in reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("signed_at", "reason"),
    [
        (None, "X-Stamp is not a time"),
        (300.0, "X-Stamp is 700 s before our time, and 300 s are allowed"),
        (1900.0, "X-Stamp is 900 s after our time, and 300 s are allowed"),
    ],
)
def test_a_rejected_time_says_how_far_it_is_from_ours(signed_at: float | None, reason: str) -> None:
    assert explain_time("X-Stamp", signed_at, Delivery(b"{}", {}, 1000.0), 300).startswith(reason)
