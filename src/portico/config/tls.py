"""What HTTPS is served with."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portico.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files of a certificate and its key, in PEM."""

    keyfile: str
    certfile: str
    password: str | None = None
    ca_certs: str | None = None
    """Authorities that clients' certificates may be from."""
    cert_reqs: int = 0
    """Whether clients must have one, as ssl.VerifyMode counts."""


def parse_cert_requirement(text: str) -> int:
    """A number of ssl.VerifyMode."""
    if text.strip() not in ("0", "1", "2"):
        raise ValueError("it must be 0, 1 or 2")
    return int(text)


def tls_files(
    keyfile: str | None,
    certfile: str | None,
    environ: Mapping[str, str],
    *,
    wanted: bool = False,
    password: str | None = None,
    ca_certs: str | None = None,
    cert_reqs: int = 0,
) -> TlsFiles | None:
    """The files to serve with; None for plain HTTP. `wanted` takes them from SSL_KEYFILE and SSL_CERTFILE.

    Raises ConfigError if one is missing.
    """
    if wanted:
        keyfile, certfile = keyfile or environ.get("SSL_KEYFILE"), certfile or environ.get("SSL_CERTFILE")
    if not (wanted or keyfile or certfile or ca_certs):
        return None
    if not keyfile or not certfile:
        missing, variable = ("--ssl-keyfile", "SSL_KEYFILE") if not keyfile else ("--ssl-certfile", "SSL_CERTFILE")
        raise ConfigError(f"HTTPS needs a key and a certificate: give {missing}, or --ssl and {variable}.")
    if cert_reqs == ssl.CERT_REQUIRED and not ca_certs:
        raise ConfigError("HTTPS: --ssl-cert-reqs 2 needs --ssl-ca-certs: of no client could the certificate be right.")
    for name in filter(None, (keyfile, certfile, ca_certs)):
        if not Path(name).is_file():
            raise ConfigError(f"HTTPS: there is no file {name}.")
    return TlsFiles(keyfile, certfile, password, ca_certs, cert_reqs)
