"""Why a connection failed, or a client cannot be created."""

import itertools
import socket
import ssl
from pathlib import Path

import httpx
import httpx2
import pytest

from triage import ConfigurationError
from triage.io.failures import build_client_error, check_network_variables, describe_connection_failure


def chain(*errors: BaseException) -> BaseException:
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (chain(httpx.ConnectError(""), ssl.SSLCertVerificationError("secret")), "its TLS certificate could not be"),
        (chain(httpx.ConnectError(""), ssl.SSLError("secret")), "the TLS handshake failed"),
        (chain(httpx2.ConnectError(""), socket.gaierror("secret")), "its host name could not be resolved"),
        (chain(httpx.ConnectError(""), OSError(), ConnectionRefusedError()), "the connection was refused"),
        (
            chain(httpx.ConnectError(""), OSError(), ExceptionGroup("several", [ConnectionRefusedError()])),
            "the connection was refused",
        ),
        (httpx.ProxyError("407 secret"), "the proxy rejected the connection with status 407"),
        (httpx2.ProxyError("secret"), "the proxy rejected the connection"),
        (chain(httpx.ConnectTimeout(""), TimeoutError()), "it could not be connected to in time"),
        (httpx.PoolTimeout(""), "no connection was free in time"),
        (httpx.WriteTimeout(""), "it did not accept the request in time"),
        (httpx2.ReadTimeout(""), "it did not respond in time"),
        (TimeoutError(), "it did not respond in time"),
        (httpx.RemoteProtocolError("secret"), "the connection was closed"),
        (httpx.ReadError("secret"), "the connection was closed"),
    ],
    ids=repr,
)
def test_the_cause_is_described_without_the_text_of_the_exception(error: BaseException, reason: str) -> None:
    description = describe_connection_failure(error)
    assert description is not None
    assert description.startswith(reason)
    assert "secret" not in description


def test_the_proxy_is_mentioned_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://app:secret@127.0.0.1:1")
    description = describe_connection_failure(chain(httpx.ConnectError(""), ConnectionRefusedError()))
    assert description == "the connection was refused; it may be the proxy, because HTTPS_PROXY is set"
    assert describe_connection_failure(httpx.ReadError("")) == "the connection was closed"


def test_an_unknown_cause_and_a_circular_chain_have_no_description() -> None:
    first, second = OSError(), httpx.ConnectError("")
    first.__cause__, second.__cause__ = second, first
    assert describe_connection_failure(first) is None


def test_the_system_is_named_if_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    message = str(build_client_error("The client", FileNotFoundError("secret")))
    assert message == (
        "The client cannot be created (FileNotFoundError): check the proxy and the certificates of this system. The "
        "certificates cannot be read."
    )


def test_a_directory_of_certificates_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    check_network_variables("The client")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match=r"check SSL_CERT_DIR\. The certificates cannot be read"):
        check_network_variables("The client")
