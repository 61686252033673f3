"""Settings of a server that no door reads: its documents, the path it is shown under, its log, HTTPS."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from portico.config.tls import TlsFiles
from portico.errors import ConfigError
from portico.server.app import create_app
from portico.server.serve import bind, serve
from portico.text.model import TextModel
from tests.certificates import self_signed
from tests.server.fake_engine import FakeEngine
from tests.server.harness import SETTINGS, portico, running


def test_without_documents(text_model: TextModel) -> None:
    with portico(text_model, replace(SETTINGS, docs=False)) as server, server.http() as http:
        assert [http.get(path).status_code for path in ("/docs", "/openapi.json", "/redoc")] == [404] * 3
        assert http.get("/v1/models").status_code == 200


def test_behind_a_proxy_that_shows_it_under_a_path(text_model: TextModel) -> None:
    with portico(text_model, replace(SETTINGS, root_path="/llm")) as server, server.http() as http:
        assert '"/llm/openapi.json"' in http.get("/docs").text.replace("'", '"')
        assert http.get("/openapi.json").json()["servers"] == [{"url": "/llm"}]
        assert http.get("/v1/models").status_code == http.get("/llm/v1/models").status_code == 200


@pytest.mark.parametrize("log_each", [True, False])
def test_requests_in_the_log(text_model: TextModel, caplog: pytest.LogCaptureFixture, log_each: bool) -> None:
    caplog.set_level(logging.INFO, "portico.server.middleware")
    with portico(text_model, replace(SETTINGS, log_requests=log_each)) as server, server.http() as http:
        http.get("/v1/models")
    assert ("/v1/models" in caplog.text) is log_each


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return TlsFiles(*self_signed(tmp_path_factory.mktemp("tls")))


def test_https(text_model: TextModel, certificate: TlsFiles) -> None:
    engine = FakeEngine()
    app = create_app(engine, text_model, SETTINGS)
    with running(app, engine, text_model, tls=certificate) as server:
        url = server.url.replace("http:", "https:")
        trusted = ssl.create_default_context(cafile=certificate.certfile)
        assert httpx.get(f"{url}/v1/models", verify=trusted).status_code == 200
        body = {"model": SETTINGS.model_names[0], "prompt": "hi", "max_tokens": 3, "stream": True}
        with httpx.stream("POST", f"{url}/v1/completions", json=body, verify=trusted) as answer:
            assert [line for line in answer.iter_lines() if line][-1] == "data: [DONE]"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/v1/models")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{server.url}/v1/models")


@pytest.mark.parametrize(("requirement", "without"), [(0, True), (1, True), (2, False)])
def test_certificates_of_clients(
    text_model: TextModel, certificate: TlsFiles, tmp_path: Path, requirement: int, without: bool
) -> None:
    engine, (key, client) = FakeEngine(), self_signed(tmp_path)
    files = replace(certificate, ca_certs=client, cert_reqs=requirement)
    with running(create_app(engine, text_model, SETTINGS), engine, text_model, tls=files) as server:
        url = f"https://127.0.0.1:{server.port}/health"
        trusted = ssl.create_default_context(cafile=certificate.certfile)
        if without:
            assert httpx.get(url, verify=trusted).status_code == 200
        else:
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
                httpx.get(url, verify=trusted)
        trusted.load_cert_chain(client, key)
        assert httpx.get(url, verify=trusted).status_code == 200
        trusted.load_cert_chain(certificate.certfile, certificate.keyfile)  # of nobody that the server knows
        if requirement:
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
                httpx.get(url, verify=trusted)


def test_files_that_are_no_certificate(text_model: TextModel, tmp_path: Path, certificate: TlsFiles) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    app = create_app(FakeEngine(), text_model, SETTINGS)
    with bind("127.0.0.1", 0) as listener, pytest.raises(ConfigError, match="key and the certificate cannot be used"):
        asyncio.run(serve(app, listener, tls=TlsFiles(certificate.keyfile, str(broken))))
