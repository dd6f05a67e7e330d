"""`vidrec capacity`"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from vidrec.cli.console import emit_json, say, stdout
from vidrec.domain.capacity import GPU_FRAMES_PER_S, SEGMENTS_PER_MINUTE, TOLERANCE, Line, Plan, capacity


def command(
    videos: Annotated[int, typer.Option(min=1, max=10**12, help="Number of videos.")],
    minutes: Annotated[float, typer.Option(min=0.01, max=10_000, help="Length of one video on average, in minutes.")],
    dimension: Annotated[
        list[int] | None, typer.Option(min=1, max=32_768, help="Dimension of the embeddings; again for several.")
    ] = None,
    hnsw_m: Annotated[int, typer.Option(min=2, max=2048, help="VIDREC_MILVUS_HNSW_M.")] = 16,
    users: Annotated[int, typer.Option(min=0, help="Number of users.")] = 0,
    interactions_per_user: Annotated[int, typer.Option(min=0, help="What each of them does, all in all.")] = 0,
    requests_per_day: Annotated[int, typer.Option(min=0, help="Lists that are asked for in a day.")] = 0,
    segments_per_minute: Annotated[
        float, typer.Option(min=0.1, max=60, help="How often the picture changes, in segments a minute.")
    ] = SEGMENTS_PER_MINUTE,
    gpu_frames_per_s: Annotated[
        float, typer.Option(min=0.1, help="What `make bench-gpu` measures on your card.")
    ] = GPU_FRAMES_PER_S,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The table of docs/scale.md.")] = False,
) -> None:
    """Tell what a library takes: vectors, memory, storage, hours of encoding, database; with the formula of each."""
    lines = capacity(
        Plan(
            videos=videos,
            minutes=minutes,
            dimensions=tuple(dimension or (512, 2048)),
            hnsw_m=hnsw_m,
            users=users,
            interactions_per_user=interactions_per_user,
            requests_per_day=requests_per_day,
            segments_per_minute=segments_per_minute,
            gpu_frames_per_s=gpu_frames_per_s,
        )
    )
    if as_json:
        emit_json([asdict(line) for line in lines])
        return
    if as_markdown:
        typer.echo(markdown(lines))
        return
    from rich.table import Table

    table = Table("", "", "formula", "constants", box=None, pad_edge=False)
    for line in lines:
        table.add_row(line.name, shown(line), line.formula, line.source)
    stdout().print(table, markup=False)
    say(f"libraries differ: expect these within a factor of {TOLERANCE:g}")


def markdown(lines: Sequence[Line]) -> str:
    """The table for a page."""
    rows = [f"| {line.name} | {shown(line)} | {line.formula} | {line.source} |" for line in lines]
    return "\n".join(["| | | formula | constants |", "|---|---|---|---|", *rows])


def shown(line: Line) -> str:
    """The value as people read it."""
    if line.unit == "bytes":
        for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
            if line.value >= size:
                return f"{line.value / size:,.1f} {name}"
        return f"{line.value / 1e3:,.1f} kB"
    if line.unit == "hours":
        return f"{line.value:,.1f} h"
    return f"{line.value:,.0f}"
