"""From a log of scored answers to a policy: what routing would gain, and whether to use it.

    python examples/calibrate_from_log.py [answers.jsonl]

A row of the log is {"prompt": "...", "model": "small", "score": 1, "cost_usd": 0.0002}. Without a
log one is made up here, in which a small model fails at proofs. `frugal calibrate` does the same
from a shell.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugal_chains.dispatch import Router, load_policy, read_rows, save_calibration
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.routing import Candidate
from frugal_chains.routing.calibration import QualityFloor, calibrate


def made_up_log() -> Iterator[dict[str, Any]]:
    kinds = ("Prove that theorem", "Translate this letter", "Prove the lemma", "Spell this word")
    for index in range(240):
        prompt = f"{kinds[index % 4]} number {index}."
        small_is_right = not prompt.startswith("Prove")
        for model, score, usd in (("small", small_is_right, 0.0002), ("large", True, 0.0080)):
            yield {"prompt": prompt, "model": model, "score": int(score), "cost_usd": usd}


def main(log: str | None, out: Path) -> None:
    rows = read_rows(log) if log else made_up_log()
    found = calibrate(rows, QualityFloor(of_best=0.98))
    print(found.report.text())
    if not found.report.recommended or log:
        return
    save_calibration(out, found)
    candidates = (
        Candidate(name="small", tier="gatekeeper", model="gpt-4.1-nano", provider="openai"),
        Candidate(name="large", tier="specialist", model="gpt-4.1", provider="openai"),
    )
    router = Router(candidates, load_policy(out))
    question = RequestFacts(messages=(MessageFacts(role="user", text="Prove the lemma number 7."),))
    print(router.plan(question).decision.explain())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, Path("routing.frugal"))
