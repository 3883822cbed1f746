"""Routing: pre-call routers, the cascade, many models, robustness and time, on public splits.

    python benchmarks/bench_routing.py [--data FOLDER] [--part precall --part cascade ...]

The splits (RouteLLM's MMLU and GSM8K answers, LLMRouter's nine models) are no part of this
repository: `--data` names the folder that holds them. Parts can be run alone; the results file then
keeps the others' figures of earlier runs. Embeddings are made once with the local embedder and kept
in `--embeddings`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from _figures import RESULTS, Figure, show, write_results
from routing import cascade, many_models, precall, robustness
from routing.protocol import DATA, DataAbsent, load

from frugal_chains.local import LocalEmbedder
from frugal_chains.routing.gain import distinct_prompts, fit_gain

NAMES = ("weak", "strong")
SPLITS = ("routellm_mmlu", "routellm_gsm8k", "llmrouter_9model")
SEED = 0


def main() -> int:
    asked = _arguments()
    parts: Mapping[str, Callable[[], dict[str, Figure]]] = {
        "precall": lambda: precall.figures(
            asked.data, embeddings=asked.embeddings, seeds=asked.seeds, draws=asked.draws, seed=SEED
        ),
        "cascade": lambda: cascade.run(asked.data, seeds=asked.seeds, draws=asked.draws),
        "many": lambda: many_models.figures(
            asked.data, embeddings=asked.embeddings, draws=asked.draws, seed=SEED
        ),
        "robustness": lambda: _robustness(asked.data, asked.embeddings, asked.draws),
    }
    figures: dict[str, Figure] = {}
    try:
        if not asked.part or {"precall", "many", "robustness"} & set(asked.part):
            embed_splits(asked.data, asked.embeddings)
        for name in asked.part or parts:
            found = parts[name]()
            show(f"routing: {name}", found)
            figures |= found
    except DataAbsent as absent:
        print(absent, file=sys.stderr)
        return 2
    if asked.part:  # Read now: another part may have ended while this one ran.
        figures = _earlier() | figures
    versions = {name: version(name) for name in ("numpy", "onnxruntime")}
    print("written:", write_results("routing", figures, versions=versions, seed=SEED))
    return 0 if all(figure.reached for figure in figures.values()) else 1


def embed_splits(data: Path, folder: Path) -> None:
    """Embed every prompt once; a split or an embedder that has changed is embedded anew."""
    embedder = LocalEmbedder()
    folder.mkdir(parents=True, exist_ok=True)
    probe, made_by = np.array(embedder.embed("Which embedder made these?")), folder / "made_by.npy"
    if not made_by.exists() or not np.allclose(np.load(made_by), probe, atol=1e-5):
        for file in folder.glob("*.npy"):
            file.unlink()
        np.save(made_by, probe)
    for name in SPLITS:
        prompts = distinct_prompts([row["prompt"] for row in load(name, data)])
        file = folder / f"{name}.npy"
        if not file.exists() or len(np.load(file)) != len(prompts):
            print(f"embedding {len(prompts):,} prompts of {name}", flush=True)
            np.save(file, np.array(embedder(prompts), dtype=np.float32))


def _robustness(data: Path, embeddings: Path, draws: int) -> dict[str, Figure]:
    """Of models that have learned from four fifths of MMLU, on prompts of the rest."""
    pair = precall.read_pair(
        load("routellm_mmlu", data), precall.load_embeddings(embeddings, "routellm_mmlu")
    )
    order = np.random.default_rng(SEED).permutation(len(pair.prompts))
    kept, held = order[len(order) // 5 :], order[: len(order) // 5]
    bare = replace(pair, embeddings=None)
    words, both = (
        fit_gain(each.examples(kept, tasks=True), NAMES, seed=SEED).model for each in (bare, pair)
    )
    prompts = [pair.prompts[at] for at in held]
    embedder = LocalEmbedder()
    return {
        **robustness.figures(words, prompts, draws=draws, seed=SEED),
        **robustness.with_embedder(both, prompts, embedder.embed),
    }


def _earlier() -> dict[str, Figure]:
    """The figures of earlier runs, to be replaced by those of this one."""
    file = RESULTS / "routing.json"
    if not file.exists():
        return {}
    kept = json.loads(file.read_text(encoding="utf-8"))["figures"]
    return {name: Figure(**figure) for name, figure in kept.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--embeddings", type=Path, default=Path(tempfile.gettempdir()) / "frugal-bench-embeddings"
    )
    parser.add_argument(
        "--part", action="append", choices=["precall", "cascade", "many", "robustness"]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
