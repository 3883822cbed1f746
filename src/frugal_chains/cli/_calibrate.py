"""`frugal calibrate`: what routing would gain on one's own traffic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from frugal_chains.cli._options import JsonOption, LedgerOption
from frugal_chains.cli._printing import plain_errors, print_json

if TYPE_CHECKING:
    from frugal_chains.routing.calibration import Calibration, Target
    from frugal_chains.routing.cascade import CascadeFit

_Log = Annotated[
    Path,
    typer.Argument(
        help="Rows of prompt, model and score (0 to 1), and where known task and cost_usd: "
        ".jsonl or .csv, also .gz. With --ledger rows may have run_id instead of model."
    ),
]
_Quality = Annotated[
    float | None,
    typer.Option(help="Target: this part of the best model's quality, as cheap as can be."),
]
_Spend = Annotated[
    float | None, typer.Option(help="Target: at most so many USD a request, as good as can be.")
]
_StrongShare = Annotated[
    float | None, typer.Option(help="Target: the best model gets at most this share of calls.")
]
_Cost = Annotated[
    list[str] | None,
    typer.Option(help="MODEL=USD a request, where the log has no cost_usd. Repeat it."),
]
_Answers = Annotated[
    Path | None,
    typer.Option(
        help="Rows of prompt, answer, score and stronger_score: learn which answers of the "
        "cheaper model a cascade gives up for a stronger one's, for the same target."
    ),
]
_Embedder = Annotated[
    bool, typer.Option(help="Learn from meanings too, with the local embedder (semantic).")
]
_Out = Annotated[Path | None, typer.Option(help="Write the policy here, for load_policy(...).")]
_Anyway = Annotated[bool, typer.Option(help="Write routing and cascade although not recommended.")]
_Seed = Annotated[int, typer.Option(help="Of folds and intervals.")]


def calibrate(
    log: _Log,
    quality: _Quality = None,
    spend: _Spend = None,
    strong_share: _StrongShare = None,
    cost: _Cost = None,
    answers: _Answers = None,
    ledger: LedgerOption = None,
    embedder: _Embedder = False,
    out: _Out = None,
    anyway: _Anyway = False,
    seed: _Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """What routing would gain on your own traffic, and the threshold for a target.

    Without a target: 98 % of the best model's quality. With --answers also a cascade's validator
    and its limit. Exit code 1: nothing can be learned from a log, or routing is not recommended.

    Example: frugal calibrate answers.jsonl --quality 0.98 --out routing.frugal
    """
    asked = _Asked(quality, spend, strong_share)
    with plain_errors():
        routing = _routing(log, ledger, asked.target(), _costs(cost or []), embedder, seed)
        cascade = None if answers is None else _cascade(answers, asked, seed)
        found = _Found(routing, cascade, anyway)
        written = out is not None and found.write(out)
    if as_json:
        print_json(_as_json(found, str(out) if written else ""))
    else:
        print(_as_text(found, out, written))
    if not routing.report.recommended:
        raise typer.Exit(1)


class _Asked(NamedTuple):
    """The options that name a target, at most one of them."""

    quality: float | None
    spend: float | None
    strong_share: float | None

    def target(self) -> Target:
        """The one that was asked for. Raises `CalibrationError` on numbers that are none."""
        from frugal_chains.routing.calibration import QualityFloor, SpendLimit, StrongShare

        options = zip(("--quality", "--spend", "--strong-share"), self, strict=True)
        asked = [name for name, value in options if value is not None]
        if len(asked) > 1:
            raise typer.BadParameter("only one target at a time", param_hint=" and ".join(asked))
        if self.spend is not None:
            return SpendLimit(per_request=self.spend)
        if self.strong_share is not None:
            return StrongShare(share=self.strong_share)
        return QualityFloor(of_best=0.98 if self.quality is None else self.quality)


class _Found(NamedTuple):
    """What the logs teach."""

    routing: Calibration
    cascade: CascadeFit | None
    anyway: bool
    """Whether to keep also what is not recommended."""

    @property
    def kept_cascade(self) -> CascadeFit | None:
        worth = self.cascade is not None and (self.cascade.recommended or self.anyway)
        return self.cascade if worth else None

    def write(self, out: Path) -> bool:
        """Write the policy, unless it is not worth it; whether it is."""
        from frugal_chains.dispatch import save_calibration

        if not (self.routing.report.recommended or self.anyway):
            return False
        kept = self.kept_cascade
        learned = () if kept is None else (kept.validator, kept.limit.max_p_wrong)
        save_calibration(out, self.routing, *learned)
        return True


def _routing(
    log: Path,
    ledger: str | None,
    target: Target,
    costs: dict[str, float] | None,
    embedder: bool,
    seed: int,
) -> Calibration:
    from frugal_chains.dispatch import read_rows
    from frugal_chains.local import LocalEmbedder
    from frugal_chains.routing import calibration

    return calibration.calibrate(
        read_rows(log, ledger=ledger),
        target,
        costs=costs,
        embedder=LocalEmbedder() if embedder else None,
        seed=seed,
    )


def _cascade(answers: Path, asked: _Asked, seed: int) -> CascadeFit:
    from frugal_chains.dispatch import read_rows
    from frugal_chains.routing.cascade import fit_cascade

    return fit_cascade(
        read_rows(answers),
        of_best=asked.quality,
        usd_per_request=asked.spend,
        share=asked.strong_share,
        seed=seed,
    )


def _costs(texts: list[str]) -> dict[str, float] | None:
    costs = {}
    for text in texts:
        model, equals, usd = text.rpartition("=")
        try:
            costs[model] = float(usd)
        except ValueError:
            equals = ""
        if not equals or not model:
            raise typer.BadParameter(f"{text!r} is not MODEL=USD", param_hint="--cost")
    return costs or None


def _as_text(found: _Found, out: Path | None, written: bool) -> str:
    lines = [found.routing.report.text()]
    if found.cascade is not None:
        lines.append(found.cascade.text())
    if out is not None and not written:
        lines.append(f"{out} is not written: see --anyway.")
    elif out is not None:
        lines.append(f"Written to {out}{_with_cascade(found)}.")
    return "\n".join(lines)


def _with_cascade(found: _Found) -> str:
    if found.cascade is None:
        return ""
    return ", without the cascade" if found.kept_cascade is None else ", with the cascade"


def _as_json(found: _Found, written_to: str) -> dict[str, Any]:
    from dataclasses import asdict

    routing = found.routing
    return {
        **asdict(routing.report),
        "exchange": routing.exchange,
        "costs": dict(routing.costs),
        "best": routing.best,
        "cascade": None if found.cascade is None else found.cascade.to_json(),
        "written_to": written_to,
    }
