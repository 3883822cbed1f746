"""The child process that serves the local model. Run by path; imports nothing of this package.

Reports one JSON line `{"url": ...}` on stdout once it listens, then serves until its parent is
gone: its stdin closes, or it gets a new parent process (a fork of the parent may hold stdin open).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from threading import Event, Thread
from typing import Any

PARENT_POLL_S = 0.5
PROMPT_CACHE_MIB = 512
# llama.cpp keeps evicted prompts in memory, up to 8 GiB by default; a token takes 23 kB here.
LOG_ERRORS_ONLY = 1
# xllamacpp 2026.10.11549: 0 silent, 1 errors, 2 warnings, 3 everything (measured 2026-11-21).


def main() -> None:
    options = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    orphaned = Event()
    Thread(target=_watch_stdin, args=(orphaned,), daemon=True).start()
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever native code prints goes to the log, not into the report
    try:
        server = _serve(options)
    except RuntimeError as error:
        sys.exit(f"{error} (port {options['port']})")
    with report:
        print(json.dumps({"url": server.listening_address}), file=report)
    while os.getppid() == options["parent_pid"] and not orphaned.wait(PARENT_POLL_S):
        pass
    os._exit(0)  # at once: a running answer has no reader any more


def _watch_stdin(orphaned: Event) -> None:
    sys.stdin.read()
    orphaned.set()


def _serve(options: dict[str, Any]) -> Any:
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = options["model_path"]
    params.model_alias = {options["model_name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = options["port"]
    params.n_ctx = options["n_ctx"]
    params.n_parallel = 1
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    params.use_jinja = True
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.ui = False
    params.offline = True
    params.cors_origins = "null"  # by default any web page in a browser here may call it
    params.verbosity = LOG_ERRORS_ONLY
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
