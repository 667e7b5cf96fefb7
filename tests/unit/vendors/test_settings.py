"""Settings of an adapter: accepted values, environment variables, and errors that never show a secret."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from triage import ConfigurationError
from triage.vendors import Intercom
from triage.vendors.settings import ListOf, Number, Secret, Settings, SigningSecret

VALID: dict[str, Any] = {"client_secret": "hush", "access_token": "token", "admin_id": "1"}
TOPICS = ["conversation.user.created", "conversation.user.replied"]


class Sample(Settings):
    name = "sample"
    title = "Sample"

    secret: SigningSecret
    token: Secret | None = None
    ids: ListOf[Number] = ()
    limit: float = 1.0


def error_of(make: Any, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make(**settings)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hush" not in shown
    return str(caught.value)


def test_every_invalid_setting_is_reported_at_once() -> None:
    message = error_of(Intercom, client_secret=" ", access_token="", admin_id="ada", region="mars", topics=[])
    assert message == (
        "Intercom's client_secret is empty. Set it to the client secret of your app. "
        "Intercom's access_token is empty. Set it to the access token of your app. "
        "Intercom's admin_id must be the number of a teammate, not 'ada'. "
        "Intercom's region must be 'us', 'eu' or 'au', not 'mars'. "
        "Intercom's topics is empty. Set it to webhook topics."
    )


def test_a_setting_from_the_environment_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERCOM_CLIENT_SECRET", "hush")
    monkeypatch.setenv("INTERCOM_ADMIN_ID", "ada")
    message = error_of(Intercom.from_env, region="mars")
    assert message == (
        "Set INTERCOM_ACCESS_TOKEN in the environment. "
        "Intercom's admin_id (INTERCOM_ADMIN_ID) must be the number of a teammate, not 'ada'. "
        "Intercom's region must be 'us', 'eu' or 'au', not 'mars'."
    )


def test_all_missing_variables_are_named() -> None:
    message = error_of(Intercom.from_env)
    assert message == "Set INTERCOM_CLIENT_SECRET, INTERCOM_ACCESS_TOKEN, INTERCOM_ADMIN_ID in the environment."


def test_missing_and_unknown_arguments_are_named() -> None:
    message = error_of(Intercom, client_secret="hush", access_token="hush", admin="1")
    assert message.startswith("Intercom needs admin_id (the number of a teammate). Intercom has no setting admin; ")
    assert error_of(Sample, secret="s", ids=[None]) == "Sample's ids must be a valid string, not None."
    assert error_of(Sample) == "Sample needs secret (the secret that signs the webhooks)."


@pytest.mark.parametrize("token", ["token", " token\n", "'token'", '"token"', " ' token ' "])
def test_quotes_and_white_space_around_a_secret_are_removed(token: str) -> None:
    adapter = Intercom(**VALID | {"access_token": token, "client_secret": [token, token]})
    assert (adapter.access_token, adapter.client_secret) == ("token", ("token", "token"))


@pytest.mark.parametrize("token", ["token\nanother", "to\0ken", "token\u200b"])
def test_a_secret_with_invisible_characters_is_rejected_without_repeating_it(token: str) -> None:
    message = "contains line breaks or other invisible characters. Copy it again."
    assert error_of(Intercom, **VALID | {"access_token": token}) == f"Intercom's access_token {message}"
    assert error_of(Intercom, **VALID | {"client_secret": ["hush", token]}) == f"Intercom's client_secret {message}"


@pytest.mark.parametrize("url", ["https://app:hush@proxy.example.com/intercom", "app:hush@proxy"])
def test_an_address_with_a_password_is_rejected_without_repeating_it(url: str) -> None:
    message = "Intercom's base_url must be an address such as https://proxy.example.com."
    assert error_of(Intercom, **VALID | {"base_url": url}) == message


def test_an_argument_may_hold_a_comma() -> None:
    assert Intercom(**VALID | {"client_secret": "new, old"}).client_secret == ("new, old",)


@pytest.mark.parametrize("text", ["new,old", "new, old", "'new', 'old'", "'new,old'", " new ,, old,"])
def test_a_list_in_the_environment_is_split_on_commas(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SAMPLE_SECRET", text)
    monkeypatch.setenv("SAMPLE_IDS", "7, 8")
    monkeypatch.setenv("SAMPLE_LIMIT", "2.5")
    sample = Sample.from_env()
    assert (sample.secret, sample.ids, sample.limit) == (("new", "old"), ("7", "8"), 2.5)


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_SECRET", " '' ")
    assert error_of(Sample.from_env) == "Set SAMPLE_SECRET in the environment."


def test_a_setting_is_read_from_the_file_that_a_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("new, old\n")
    monkeypatch.setenv("SAMPLE_SECRET_FILE", str(tmp_path / "secret"))
    assert Sample.from_env().secret == ("new", "old")
    monkeypatch.setenv("SAMPLE_SECRET_FILE", "/no/such/file")
    assert error_of(Sample.from_env).startswith("SAMPLE_SECRET_FILE: /no/such/file cannot be read")


def test_an_argument_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_SECRET", "theirs")
    assert Sample.from_env(secret="ours").secret == ("ours",)


def test_numbers_are_accepted_as_ids_and_sets_as_lists() -> None:
    adapter = Intercom(**VALID | {"admin_id": 814860, "topics": set(TOPICS)})
    assert (adapter.admin_id, adapter.topics) == ("814860", tuple(TOPICS))


def test_settings_cannot_be_changed_and_may_be_compared() -> None:
    sample = Sample(secret="hush", ids=["7"])
    assert sample == Sample(secret="hush", ids=("7",))
    assert hash(sample) == hash(Sample(secret="hush", ids=("7",)))
    with pytest.raises(ValueError, match="frozen"):
        sample.limit = 2.0


def test_secrets_are_never_shown() -> None:
    sample = Sample(secret="hush", token="hush")
    for shown in (repr(sample), str(sample), str(sample.model_dump()), sample.model_dump_json()):
        assert "hush" not in shown
    assert Sample(secret="hush").model_dump()["token"] is None
    assert "hush" not in error_of(Sample, secret="hush", token=["hush"])
    assert error_of(Sample, secret=None) == "Sample's secret must be the secret that signs the webhooks."


def test_settings_are_passed_by_name() -> None:
    adapter: Any = Intercom
    with pytest.raises(ConfigurationError, match=r"by name: Intercom\(client_secret=…, access_token=…, admin_id=…\)"):
        adapter("secret", "token", "1")
