"""What `frugal whatif` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Traffic = Annotated[
    Path | None,
    typer.Argument(
        help="Recorded calls (.jsonl, .jsonl.gz) or a workload sheet (.toml). Without it: the "
        "ledger."
    ),
]
SetupFile = Annotated[
    Path | None,
    typer.Option(
        "--setup",
        help="A TOML file with the levers to try, a table for each: memory, compression, "
        "routing.by_task, prompt_cache, batch. Without it: memory, lossless compression and "
        "markers.",
    ),
]
Route = Annotated[
    list[str] | None,
    typer.Option(
        help="A task and who should answer it: faq=openai:gpt-4o-mini. Repeat it for others."
    ),
]
BatchTasks = Annotated[
    list[str] | None, typer.Option("--batch", help="A task that can wait hours. Repeat it.")
]
Sweeps = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep",
        help="A key of the setup file and values to try: memory.keep_tokens=500,1000,none; none "
        "leaves it out. Repeat it: every choice is played, 64 at most.",
    ),
]
Month = Annotated[
    float | None, typer.Option(min=0, help="For the projection. Without it: by the times.")
]
Prices = Annotated[
    list[Path] | None,
    typer.Option(
        help="A prices.toml instead of the one that is found. Repeat it to compare price lists; "
        "an empty file stands for list prices."
    ),
]
Out = Annotated[
    Path | None, typer.Option(help="Write what is recommended here, as a file for --setup.")
]
Since = Annotated[str | None, typer.Option(help="Of a ledger: an age or a time; UTC.")]
Tasks = Annotated[
    bool, typer.Option("--tasks", help="What kinds of tasks there are, instead of a replay.")
]
