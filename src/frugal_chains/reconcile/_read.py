"""Reading exports: files as they come from a console, or back from a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frugal_chains.errors import ReconcileError
from frugal_chains.reconcile._export import UsageExport
from frugal_chains.reconcile._file import ExportFile, all_between


def read_export(paths: Sequence[Path], *, provider: str | None = None) -> UsageExport:
    """Read usage and cost exports of one provider.

    Raises:
        ReconcileError: a file is not one of `FORMATS`, has a cell that cannot be, repeats a row, or
            covers days of another file of its kind; or the files are of several providers.
        OSError: a file cannot be read.
    """
    files = [ExportFile(path) for path in paths]
    found = {file.format.provider for file in files}
    if len(found) > 1:
        raise ReconcileError("the files are of openai and anthropic: compare one at a time")
    export = UsageExport(provider=provider or found.pop(), files=[p.name for p in paths], cells={})
    if provider is not None and found and provider not in found:
        raise ReconcileError(f"{paths[0]} is {files[0].format.title}, not one of {provider}")
    days: dict[str, set[str]] = {}
    for file in files:
        before, own = days.setdefault(file.format.holds, set()), file.add_to(export)
        if twice := sorted(before & own):
            raise ReconcileError(
                f"{file.path} and a file before it both cover {twice[0]} to {twice[-1]} "
                f"({len(twice)} days): they would count twice. Give each day once."
            )
        before |= own
    if not any(days.values()):
        raise ReconcileError(f"{paths[0]} has a head and no rows: nothing to compare with")
    covered = [own for kind, own in days.items() if kind == "cost" and own]
    if tokens := days.get("tokens", set()) | days.get("embeddings", set()):
        covered.append(tokens)
    export.days = frozenset(set.intersection(*covered))
    export.left_out_days = len(all_between(set.union(*covered))) - len(export.days)
    export.holds = frozenset(days)
    if not export.days:
        raise ReconcileError("the usage export and the cost export have no day in common")
    return export
