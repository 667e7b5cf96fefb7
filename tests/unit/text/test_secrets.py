"""API keys, access tokens and private keys are removed from text; everything else is kept."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.text.common import anything, hostile, takes_linear_time
from triage.text import scrub_secrets

LETTERS = "abcdefghijklmnopqrstuvwxyz"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

SECRETS = [
    "sk-ant-api03-AbCdEfGh_IjKlMnOp-QrStUv",
    "sk-ant-" + LETTERS,
    "sk-proj-1234567890abcdefghij",
    "sk-" + LETTERS + "1",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "ghp_" + LETTERS,
    "gho_" + LETTERS,
    "github_pat_11ABCDEFG_" + LETTERS,
    "glpat-1234567890_abcdefghij",
    "AIza" + "a1B2c" * 7,
    "xoxb-123456789012-abcdefghij",
    "xoxp-1234567890",
    "sk_live_abcdefghij1234",
    "rk_test_abcdefghij1234",
    JWT,
    JWT + ".a.b",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\r\nMIIEvQ\r\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYBF\n-----END PGP PRIVATE KEY BLOCK-----",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_replaced_and_the_text_around_it_kept(secret: str) -> None:
    assert scrub_secrets(f"My key is {secret}, help!") == "My key is [secret], help!"
    assert scrub_secrets(f'{{"key":"{secret}"}}') == '{"key":"[secret]"}'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_is_replaced_but_its_scheme_kept(scheme: str) -> None:
    assert scrub_secrets(f"Authorization: {scheme} dGhpc2lzYXRva2VuMQ==") == f"Authorization: {scheme} [secret]"


def test_a_private_key_that_is_cut_off_is_removed_to_the_end() -> None:
    assert scrub_secrets("Here:\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE") == "Here:\n[secret]"


def test_several_secrets_are_replaced() -> None:
    assert scrub_secrets(f"{JWT} and ghp_{LETTERS}") == "[secret] and [secret]"


@pytest.mark.parametrize(
    "text",
    [
        "I was charged twice on invoice 4711-2025-0001.",
        "Please do a risk-assessment-of-everything2 at my desk-0123456789abcdef.",
        "The sk-learn-package-documentation is long.",
        "He is the bearer responsible-for-everything.",
        "Bearer tokens",
        "AKIA is a brand, and so is AKIAIOSFODNN7EXAMPLEXYZ.",
        "-----BEGIN CERTIFICATE-----\nMIIDdz\n-----END CERTIFICATE-----",
        "mira@example.com, order eyJhbG, https://example.com/ghp_1",
        "",
    ],
)
def test_other_text_is_kept(text: str) -> None:
    assert scrub_secrets(text) == text


@given(anything)
def test_text_without_the_beginning_of_a_secret_is_kept(text: str) -> None:
    beginnings = ("sk-", "k_", "gh", "xox", "AIza", "glpat", "eyJ", "AKIA", "ASIA", "BEGIN", "earer", "EARER")
    if not any(beginning in text for beginning in beginnings):
        assert scrub_secrets(text) == text


@given(anything, st.sampled_from(SECRETS), anything)
def test_a_secret_is_found_in_any_text(before: str, secret: str, after: str) -> None:
    assert secret not in scrub_secrets(f"{before} {secret} {after}")


@given(st.lists(st.sampled_from([*SECRETS, "Bearer ", "-----BEGIN PRIVATE KEY-----", " ", "\n", "1", "sk-", "eyJ"])))
def test_scrubbed_text_contains_no_further_secret(parts: list[str]) -> None:
    once = scrub_secrets(" ".join(parts))
    assert scrub_secrets(once) == once


@pytest.mark.parametrize(
    ("function", "unit"),
    hostile(
        scrub_secrets,
        "sk-",
        "-sk-",
        "sk-ant-",
        "eyJ",
        "-eyJ",
        "eyJabcdefgh.",
        ".eyJabcdefgh",
        "Bearer ",
        "Bearer\n\n",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY----------END ",
        "ghp_",
        "xoxb-",
        "a" * 100,
    ),
)
def test_long_text_takes_linear_time(function: Callable[[str], object], unit: str) -> None:
    assert takes_linear_time(function, unit)
