"""`PrometheusEndpoint`: a ledger's totals for a Prometheus server to scrape."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from frugal_chains.errors import ExportError, FrugalError, wordless
from frugal_chains.export._prometheus import (
    CONTENT_TYPE,
    PROMETHEUS_QUESTION,
    Counters,
    exposition,
    samples,
)
from frugal_chains.ledger import Ledger

logger = logging.getLogger("frugal_chains.export")

_PATH: Final = "/metrics"
_IDLE_S: Final = 10.0
"""How long a connection may say nothing."""


class PrometheusEndpoint:
    """Serves `/metrics` of a ledger, on this machine alone unless told otherwise.

        with PrometheusEndpoint(ledger, port=9464) as endpoint:
            print(endpoint.url)

    Off until started. It only reads, whenever it is asked; labels are provider, model, purpose and
    status, never tags. Start one for a ledger, not one in each process that writes it.

    Args:
        ledger: Whose totals. It stays open.
        port: 0: any that is free.
        host: Anyone who reaches it can read what is spent on which model.
    """

    def __init__(self, ledger: Ledger, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self._ledger = ledger
        self._address = host, port
        self._counters = Counters()
        self._one_at_a_time = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Serve, on a thread of its own.

        Raises:
            ExportError: the port is taken, or not this user's to open.
        """
        host, port = self._address
        try:
            server = ThreadingHTTPServer(self._address, _handler_of(self))
        except (OSError, OverflowError) as error:
            raise ExportError(
                f"{host}:{port} cannot be served ({error}): choose another port, or 0 for any"
            ) from error
        server.daemon_threads = True
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="frugal-prometheus",
            daemon=True,
        )  # fmt: skip
        self._thread.start()
        return self

    def stop(self) -> None:
        """Give the port back. Does nothing when it is not served."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            self._thread.join()
            server.server_close()

    @property
    def port(self) -> int:
        """The port that is served; 0 while none is."""
        return 0 if self._server is None else int(self._server.server_address[1])

    @property
    def url(self) -> str:
        host = self._address[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{_PATH}"

    def text(self) -> str:
        """What a scrape gets now.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with self._one_at_a_time:
            now = samples(self._ledger.totals(PROMETHEUS_QUESTION))
            return exposition(self._counters.rise(now))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _handler_of(endpoint: PrometheusEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE_S
        server_version, sys_version = "frugal-chains", ""

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            status, text = _page(endpoint, self.path)
            raw = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            if body:
                self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are no news."""

    return Handler


def _page(endpoint: PrometheusEndpoint, path: str) -> tuple[int, str]:
    if path.partition("?")[0] != _PATH:
        return 404, f"see {_PATH}\n"
    try:
        return 200, endpoint.text()
    except FrugalError as error:
        logger.error("the ledger could not be read for a scrape", exc_info=wordless(error))
        return 503, "the ledger cannot be read now: see the log of this process\n"
