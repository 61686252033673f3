"""Which files HTTPS is served with."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.config.tls import TlsFiles, tls_files
from portico.errors import ConfigError


def test_flags_or_environment(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    for file in (key, certificate):
        file.touch()
    environ = {"SSL_KEYFILE": str(key), "SSL_CERTFILE": str(certificate)}
    assert tls_files(None, None, environ) is None
    assert tls_files(None, None, environ, wanted=True) == TlsFiles(str(key), str(certificate))
    assert tls_files(str(key), str(certificate), {}, cert_reqs=1) == TlsFiles(str(key), str(certificate), cert_reqs=1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch()
    with pytest.raises(ConfigError, match="--ssl and SSL_KEYFILE"):
        tls_files(None, None, {}, wanted=True)
    with pytest.raises(ConfigError, match="--ssl-certfile"):
        tls_files(str(key), None, {})
    with pytest.raises(ConfigError, match="--ssl-cert-reqs 2 needs --ssl-ca-certs"):
        tls_files(str(key), str(key), {}, cert_reqs=2)
    with pytest.raises(ConfigError, match=r"no file /gone.pem"):
        tls_files(str(key), "/gone.pem", {})
