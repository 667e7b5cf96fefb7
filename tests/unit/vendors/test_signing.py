"""Only signatures computed with one of our secrets are accepted, and no input makes the check raise."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import ConfigurationError
from triage.vendors.signing import Secrets, decode_base64, decode_hex, explain_rejection


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
        ({}, "X-Signature is absent"),
        ({"x-signature": " "}, "X-Signature is absent"),
        ({"http_x_signature": "abc"}, "X-Signature is absent: the names are those of a WSGI environment"),
        ({"x-signature": "['abc']"}, "X-Signature is a list, not text"),
        ({"x-signature": "abc"}, "X-Signature does not fit the app's secret and these bytes"),
    ],
)
def test_a_rejection_says_whether_the_signature_is_absent(headers: dict[str, str], reason: str) -> None:
    assert explain_rejection(headers, "X-Signature", "the app's secret").startswith(reason)
