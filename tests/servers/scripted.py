"""`ScriptedServer`: a provider on loopback that says what the test tells it to say.

    with ScriptedServer() as server:
        server.script(Reply(status=429, headers={"retry-after": "0"}), Reply("hello"))
        client = openai.OpenAI(base_url=server.openai_base_url, api_key="test")

Speaks OpenAI chat completions, responses and embeddings, and Anthropic messages. Every answer
closes its connection, so that no event loop is left with a pooled one.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

from tests.servers import anthropic_wire, openai_wire
from tests.servers.prompt_cache import (
    AnthropicPromptCache,
    CacheRequestError,
    OpenAIPromptCache,
    count_tokens,
)
from tests.servers.reply import Reply, Tokens

Body = Mapping[str, Any]
Json = dict[str, Any]
PromptCache = AnthropicPromptCache | OpenAIPromptCache

SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "cookie"})
STALL_S = 30.0
REQUEST_ID = "req_scripted"


@dataclass(slots=True)
class Request:
    """One HTTP request as it arrived: every client retry is one of its own."""

    path: str
    body: Json
    headers: dict[str, str]
    """Lower-case names; credentials left out."""
    chunks_sent: int = 0
    """Server-sent events written so far."""
    client_left: bool = False
    """The client closed the connection before the answer was complete."""


Script = Reply | Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class _Protocol:
    """One endpoint: how it writes usage, a whole answer, a streamed answer, and errors."""

    whole: Callable[[Body, Reply, str, Any], Json]
    events: Callable[[Body, Reply, str, Any], Iterator[bytes]]
    usage: Callable[[Tokens], Json]
    last_user_text: Callable[[Body], str]
    error: Callable[[int, str], Json]
    error_event: Callable[[], bytes]
    cache: type[PromptCache]
    usage_is_optional: bool


_OPENAI = (
    openai_wire.last_user_text,
    openai_wire.error,
    openai_wire.error_event,
    OpenAIPromptCache,
    True,
)
_PROTOCOLS = {
    "/v1/chat/completions": _Protocol(
        openai_wire.chat, openai_wire.chat_events, openai_wire.chat_usage, *_OPENAI
    ),
    "/v1/responses": _Protocol(
        openai_wire.response, openai_wire.response_events, openai_wire.responses_usage, *_OPENAI
    ),
    "/v1/messages": _Protocol(
        anthropic_wire.message,
        anthropic_wire.events,
        anthropic_wire.usage,
        anthropic_wire.last_user_text,
        anthropic_wire.error,
        anthropic_wire.error_event,
        AnthropicPromptCache,
        usage_is_optional=False,
    ),
}


class ScriptedServer:
    """Listens on 127.0.0.1 from construction to `stop()`.

    Attributes:
        requests: Every request so far, in order of arrival.
        cache: The provider's prompt cache, or None; consulted for the protocol it belongs to.
    """

    def __init__(self, *, cache: PromptCache | None = None) -> None:
        self.cache = cache
        self.requests: list[Request] = []
        self._queue: deque[Script] = deque()
        self._default: Script = Reply()
        self._lock = Lock()
        self._closing = Event()
        self._tcp = _TcpServer(("127.0.0.1", 0), self._handler, self._closing)
        self.anthropic_base_url = f"http://127.0.0.1:{self._tcp.server_address[1]}"
        self.openai_base_url = f"{self.anthropic_base_url}/v1"
        self._thread = Thread(target=self._tcp.serve, daemon=True)
        self._thread.start()

    def script(self, *replies: Script) -> None:
        """Answer the next requests with these, one each; then as before."""
        self._queue.extend(replies)

    def always(self, reply: Script) -> None:
        """Answer with this whenever the script is empty."""
        self._default = reply

    def stop(self) -> None:
        """Free the port and end stalled answers; raise what went wrong inside the server."""
        self._closing.set()
        with suppress(OSError), socket.create_connection(self._tcp.server_address):
            self._thread.join()  # it waits for a connection, and got one
        self._tcp.server_close()
        self._thread.join()
        if self._tcp.failures:
            raise self._tcp.failures[0]

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _handler(self, *args: Any) -> _Handler:
        return _Handler(self, *args)

    def _take(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            script = self._queue.popleft() if self._queue else self._default
        return script if isinstance(script, Reply) else script(request)

    def _usage(self, protocol: _Protocol, body: Body, reply: Reply, text: str) -> Json | None:
        if reply.omit_usage and protocol.usage_is_optional:
            return None
        if isinstance(reply.usage, Mapping):
            return dict(reply.usage)
        return protocol.usage(reply.usage or self._count(protocol, body, reply, text))

    def _count(self, protocol: _Protocol, body: Body, reply: Reply, text: str) -> Tokens:
        if isinstance(self.cache, protocol.cache):
            with self._lock:
                tokens = self.cache.look_up(body)
        else:
            prompt = [body.get(key, "") for key in ("tools", "system", "messages", "input")]
            tokens = Tokens(fresh=count_tokens(json.dumps(prompt)))
        calls = "".join(call.name + json.dumps(call.arguments) for call in reply.tool_calls)
        return replace(tokens, visible=count_tokens(text + calls) * (body.get("n") or 1))


class _TcpServer(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Any, closing: Event) -> None:
        self.failures: list[BaseException] = []
        self.closing = closing
        super().__init__(address, handler)

    def serve(self) -> None:
        """As `serve_forever`, which looks only so often whether it has ended."""
        while not self.closing.is_set():
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self.closing.is_set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, scripted: ScriptedServer, *args: Any) -> None:
        self.scripted = scripted
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.close_connection = True
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        kept = {name: value for name, value in headers.items() if name not in SECRET_HEADERS}
        request = Request(self.path.partition("?")[0], json.loads(raw), kept)
        reply = self.scripted._take(request)
        try:
            self._answer(request, reply)
        except ConnectionError:
            request.client_left = True

    def _answer(self, request: Request, reply: Reply) -> None:
        if reply.delay_s:
            self.scripted._closing.wait(reply.delay_s)
        if reply.disconnect:
            return
        protocol = _PROTOCOLS.get(request.path, _PROTOCOLS["/v1/chat/completions"])
        if reply.status != 200:
            self._send(reply, protocol.error(reply.status, f"scripted {reply.status}"))
        elif request.path == "/v1/embeddings":
            self._send(reply, openai_wire.embeddings(request.body, reply))
        elif request.path in _PROTOCOLS:
            self._generate(request, reply, protocol)
        else:
            self._send(replace(reply, status=404), protocol.error(404, "no such endpoint"))

    def _generate(self, request: Request, reply: Reply, protocol: _Protocol) -> None:
        body, text = request.body, reply.text
        if text is None:
            text = "" if reply.tool_calls else protocol.last_user_text(body)
        try:
            usage = self.scripted._usage(protocol, body, reply, text)
        except CacheRequestError as error:
            self._send(replace(reply, status=400), protocol.error(400, str(error)))
            return
        if body.get("stream"):
            events = protocol.events(body, reply, text, usage)
            self._stream(request, reply, events, protocol.error_event())
        else:
            self._send(reply, protocol.whole(body, reply, text, usage) | dict(reply.beside))

    def _send(self, reply: Reply, body: Json) -> None:
        raw = json.dumps(body).encode()
        self._start(reply, {"content-type": "application/json", "content-length": str(len(raw))})
        self.wfile.write(raw)

    def _start(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.send_response(reply.status)
        common = {"connection": "close", "x-request-id": REQUEST_ID, "request-id": REQUEST_ID}
        for name, value in {**common, **headers, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(
        self, request: Request, reply: Reply, events: Iterable[bytes], error_event: bytes
    ) -> None:
        kind = {"content-type": "text/event-stream; charset=utf-8"}
        self._start(reply, kind | {"transfer-encoding": "chunked"})
        for n, event in enumerate(events):
            if n == reply.cut_after_chunks:
                if reply.cut_cleanly:
                    break
                return  # without the closing chunk: the body is incomplete
            if n == reply.fail_after_chunks:
                self._chunk(error_event)
                break
            if n == reply.stall_after_chunks:
                self.scripted._closing.wait(STALL_S)
                return
            if n and reply.chunk_delay_s:
                self.scripted._closing.wait(reply.chunk_delay_s)
            self._chunk(event)
            request.chunks_sent = n + 1
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
