"""Where the server listens, whom it lets in, and what it says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portico.config.compat import parse_compat
from portico.config.cors import CorsRules
from portico.config.keys import Keys, api_keys
from portico.config.option import option
from portico.config.rates import RateLimits
from portico.config.tls import parse_cert_requirement
from portico.config.values import parse_count, parse_level, parse_list, parse_port, parse_positive, parse_seconds
from portico.protocol.limits import LIMITS

SERVER = "server"
CORS = "pages of other origins (CORS)"
TLS = "HTTPS"
LOGS = "logging"
LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The HTTP side."""

    host: str = option("127.0.0.1", "address to listen at", group=SERVER, aliases=("--server-name",))
    port: int = option(
        8000, "port to listen at; 0 takes a free one", group=SERVER, parse=parse_port, aliases=("--server-port",)
    )
    api_key: tuple[str, ...] = option(
        (), "key that clients must send as 'Authorization: Bearer KEY' or 'x-api-key: KEY'; may be given several times",
        group=SERVER, repeated=True, metavar="KEY", aliases=("--api-keys",), single=("--api-key",),
    )  # fmt: skip
    api_key_file: str | None = option(
        None, "file with more such keys, one a line, which no list of processes shows; behind a key may stand "
        "request-timeout=SECONDS, rate-limit-requests=N, rate-limit-tokens=N, in place of what is said for all, and "
        "priority, which makes it one of --priority-keys", group=SERVER, metavar="FILE",
    )  # fmt: skip
    compat: str = option(
        "auto", "whose habits to take on where they contradict OpenAI's: none, mlc, mlc-chat, alpaca, lmdeploy, vllm; "
        "auto is alpaca where the served name says so, else none",
        group=SERVER, parse=parse_compat, metavar="NAME",
    )  # fmt: skip
    root_path: str = option(
        "", "path under which a proxy shows the server to others, as /llm", group=SERVER, metavar="PATH"
    )
    docs: bool = option(
        True, "serve the page /docs and the document /openapi.json", group=SERVER, off=("--disable-fastapi-docs",)
    )
    web: bool = option(
        False, "serve a page to chat in too, on --web-port, in a process of its own; needs pip install 'portico[web]'",
        group=SERVER,
    )  # fmt: skip
    web_port: int = option(7860, "port of that page; 0 takes a free one", group=SERVER, parse=parse_port)
    drain_timeout: float = option(
        20.0, "seconds that running requests get to finish at Ctrl-C or SIGTERM; a second one ends them at once",
        group=SERVER, parse=parse_seconds, metavar="SECONDS", aliases=("--shutdown-timeout",),
    )  # fmt: skip
    max_queue: int = option(
        1024, "requests that may wait for their turn; one more is a 429 that says when to come again",
        group=SERVER, parse=parse_count, metavar="N",
    )  # fmt: skip
    max_queue_tokens: int | None = option(
        None, "tokens that the prompts of all requests, running and waiting, may have together, reckoned as a quarter "
        "of their bodies' bytes (default: any number)",
        group=SERVER, parse=parse_positive, metavar="TOKENS",
    )  # fmt: skip
    max_body_bytes: int = option(
        LIMITS.body_bytes, "bytes that the body of a request may have; more is a 413",
        group=SERVER, parse=parse_positive, metavar="BYTES",
    )  # fmt: skip
    request_timeout: float = option(
        0.0, "seconds that a request may take from its arrival on, waiting included, before it ends with an error; the "
        "header X-Request-Timeout of a request can make it shorter; 0: any number",
        group=SERVER, parse=parse_seconds, metavar="SECONDS",
    )  # fmt: skip
    priority_keys: tuple[str, ...] = option(
        (), "API key whose requests' 'priority' counts against the requests of other keys too, each of which has 0 "
        "there; clients may ask with it as with those of --api-key; may be given several times",
        group=SERVER, repeated=True, metavar="KEY", single=("--priority-key",), aliases=("--priority-key",),
    )  # fmt: skip
    rate_limit_requests: int | None = option(
        None, "requests that each API key may make in a minute; one more is a 429 (default: any number)",
        group=SERVER, parse=parse_positive, metavar="N",
    )  # fmt: skip
    rate_limit_tokens: int | None = option(
        None, "tokens of prompts and answers that each API key may use in a minute (default: any number)",
        group=SERVER, parse=parse_positive, metavar="TOKENS",
    )  # fmt: skip
    max_logprobs: int = option(
        20, "likeliest tokens that 'logprobs' of a completion may ask for", group=SERVER, parse=parse_count, metavar="N"
    )
    trust_request_chat_template: bool = option(
        False, "let requests bring their own chat_template, a program that runs in a sandbox", group=SERVER
    )
    enable_debug: bool = option(
        False, "open the routes under /debug, which end requests and show what ran; to whoever has a key", group=SERVER
    )
    enable_tracing: bool = option(
        False, "keep the events of the latest 256 requests for /debug/dump_event_trace", group=SERVER
    )
    enable_abort_handling: bool = option(
        False, "let /abort_request end all requests at once, those of other keys too", group=SERVER
    )
    enable_force_include_usage: bool = option(
        False, "end every stream with its usage, whether stream_options asks for it or not", group=SERVER
    )
    return_tokens_as_token_ids: bool = option(
        False, 'name tokens in log-probabilities as "token_id:17" where a request does not say how', group=SERVER
    )
    response_role: str = option("assistant", "the role that answers of chats have", group=SERVER, metavar="ROLE")
    allow_credentials: bool = option(
        False, "let pages of other origins send cookies, if these origins are named", group=CORS
    )
    allowed_origins: tuple[str, ...] = option(
        (), "origins whose pages may read answers, as a JSON list, a,b or several values; * is any "
        "(default: none, or * where another option of this group is given)",
        group=CORS, repeated=True, split=parse_list, metavar="ORIGIN", aliases=("--allow-origins",),
        single=("--allowed-origins",),
    )  # fmt: skip
    allowed_methods: tuple[str, ...] = option(
        (), "methods that they may use, in the same way (default: *)",
        group=CORS, repeated=True, split=parse_list, metavar="METHOD", aliases=("--allow-methods",),
        single=("--allowed-methods",),
    )  # fmt: skip
    allowed_headers: tuple[str, ...] = option(
        (), "headers that they may send, in the same way (default: *)",
        group=CORS, repeated=True, split=parse_list, metavar="HEADER", aliases=("--allow-headers",),
        single=("--allowed-headers",),
    )  # fmt: skip
    ssl: bool = option(
        False, "speak HTTPS with the files that SSL_KEYFILE and SSL_CERTFILE of the environment name", group=TLS
    )
    ssl_keyfile: str | None = option(None, "private key, in PEM", group=TLS, metavar="FILE")
    ssl_certfile: str | None = option(None, "certificate, in PEM", group=TLS, metavar="FILE")
    ssl_keyfile_password: str | None = option(None, "password of the private key", group=TLS, metavar="TEXT")
    ssl_ca_certs: str | None = option(
        None, "authorities that clients' certificates may be from", group=TLS, metavar="FILE"
    )
    ssl_cert_reqs: int = option(
        0, "whether clients must show a certificate: 0 no, 1 if they have one, 2 yes",
        group=TLS, parse=parse_cert_requirement, metavar="N",
    )  # fmt: skip
    log_level: str = option("info", "how much to log", group=LOGS, parse=parse_level, choices=LEVELS)
    uvicorn_log_level: str = option(
        "warning", "how much the HTTP library logs", group=LOGS, parse=parse_level, choices=LEVELS
    )
    otlp_traces_endpoint: str | None = option(
        None, "where to send OpenTelemetry spans by OTLP over HTTP, as http://127.0.0.1:4318/v1/traces; needs the "
        "extra portico[otel]; OTEL_* variables say the rest",
        group=LOGS, metavar="URL",
    )  # fmt: skip
    log_format: str = option(
        "text", "text for people, or json: one object a line, with the request's id as a field",
        group=LOGS, choices=("text", "json"),
    )  # fmt: skip
    disable_access_log_for_endpoints: tuple[str, ...] = option(
        (), "paths whose requests get no line, as /metrics,/v1/models; /health, /ping and /version have none anyway",
        group=LOGS, repeated=True, split=parse_list, metavar="PATHS", single=("--disable-access-log-for-endpoints",),
    )  # fmt: skip
    log_prompts: bool = option(False, "log prompts, as the model reads them, and parameters", group=LOGS)
    max_log_len: int | None = option(
        None, "characters of a prompt that --log-prompts logs (default: all)",
        group=LOGS, parse=parse_count, metavar="CHARACTERS",
    )  # fmt: skip
    log_requests: bool = option(
        True, "log a line for each request", group=LOGS, aliases=("--enable-log-requests",),
        off=("--disable-log-requests", "--disable-uvicorn-access-log"),
    )  # fmt: skip

    def keys(self, environ: Mapping[str, str]) -> Keys:
        """The keys that clients may come with; none: everybody is welcome. ConfigError if one cannot be."""
        return api_keys(self.api_key, self.api_key_file, environ, self.priority_keys)

    def rates(self) -> RateLimits:
        """What each key may ask in a minute."""
        return RateLimits(self.rate_limit_requests, self.rate_limit_tokens)

    def cors(self) -> CorsRules | None:
        """What pages of other origins may do; None without an option about it."""
        if not (self.allow_credentials or self.allowed_origins or self.allowed_methods or self.allowed_headers):
            return None
        return CorsRules(
            origins=self.allowed_origins or ("*",),
            methods=self.allowed_methods or ("*",),
            headers=self.allowed_headers or ("*",),
            credentials=self.allow_credentials,
        )
