"""Recommenders on MovieLens: one section of docs/quality.md, replaced when it runs again; see docs/evaluate.md.

python -m bench.recommenders
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench import report
from vidrec.adapters.tables import read_table
from vidrec.application.evaluate_interactions import (
    ALL,
    COLD_AMONG_COLD,
    COLD_ITEMS,
    CONTENT,
    RANDOM,
    WARM_USERS,
    Comparison,
    Options,
    compare,
)
from vidrec.application.interaction_tables import Columns, Table, read_features, read_log
from vidrec.domain.interaction_log import SplitBy
from vidrec.domain.measures import Interval
from vidrec.domain.models import utc_now

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "quality.md"
BEGIN, END = "<!-- section:recommenders -->", "<!-- /section:recommenders -->"
LIKED = 4.0
ACCEPT = 0.99
HEAD = f"""## Recommenders

MovieLens latest-small (Harper & Konstan 2015) by `vidrec evaluate interactions`, whose method is in
[evaluate.md](evaluate.md): ratings of {LIKED:g} or more are liked; genres, and tags that were given before the
window, are the features; every item is ranked; 95 % intervals in brackets. All that is tuned is tuned on the
validation window. The hybrid is compared with the single recommender that is best with hindsight, content too.
Of a user without history all but random answer the same, what is popular: warm users tell them apart.
Figures of the test window were seen while the methods were built, so that they are a little kind to what was added
last (the discriminant, features in EASE); few warm users are left by the cut at two moments: mind the intervals."""


def measured(data: Path, by: SplitBy) -> Comparison:
    """One run on the files as they are downloaded."""
    columns, now = Columns(user="userId", item="movieId", time="timestamp", value="rating"), utc_now()
    tables = [Table(name, read_table(data / name)) for name in ("movies.csv", "tags.csv")]
    features = read_features(tables, columns, now=now)
    ratings = Table("ratings.csv", read_table(data / "ratings.csv"))
    log, features.items = read_log(ratings, features.items, columns, least=LIKED, now=now)
    return compare(log, features.at, Options(split=by), print)


def section(found: Comparison) -> str:
    """All slices of one run, as Markdown."""
    parts = []
    for name, part in found.slices.items():
        shown = [measure for measure in next(iter(part.methods.values())) if measure != "variety@10"]
        rows = [[method, *(cell(values[m], m) for m in shown)] for method, values in part.methods.items()]
        if name == "all":
            shown += ["variety@10", "coverage@10"]
            for row, (method, values) in zip(rows, part.methods.items(), strict=True):
                row += [cell(values["variety@10"], "variety@10"), f"{found.coverage[method]:.3f}"]
        ratio = part.hybrid.ratio
        told = "nothing to compare with: even that one found nothing" if ratio is None else f"**{cell(ratio, 'ndcg')}**"
        parts.append(
            f"*{name}*: {part.users} users, {part.targets} targets. NDCG@10 of the hybrid / {part.hybrid.best}, the "
            f"best single one here: {told}.\n\n" + report.table(("", *shown), rows)
        )
    weights = ", ".join(f"{name} {weight:g}" for name, weight in found.tuned.weights.items())
    parts.append(
        f"Tuned on {found.tuned.users} users of the validation window: {weights}; EASE's l2 {found.tuned.l2:g}, "
        f"features as {found.tuned.side:g} users, co-watch's shrinkage {found.tuned.shrinkage:g}, content by "
        f"{found.tuned.taste}."
    )
    return "\n\n".join(parts)


def cell(interval: Interval, measure: str) -> str:
    """The value, and its interval for what the comparison is about."""
    if not measure.startswith("ndcg"):
        return f"{interval.value:.3f}"
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def verdicts(found: Comparison) -> list[str]:
    """What was aimed at."""
    lines = []
    for name in (ALL, WARM_USERS):
        ratio = found.slices[name].hybrid.ratio if name in found.slices else None
        if ratio is not None:
            word = "aim reached" if ratio.low > 1 else "accepted" if ratio.value >= ACCEPT else "NOT accepted"
            lines.append(
                f"- hybrid / best single one, {name}: **{cell(ratio, 'ndcg')}** (accept {ACCEPT:g}, aim an interval "
                f"above 1: {word})"
            )
    for name in (COLD_ITEMS, COLD_AMONG_COLD):
        if name in found.slices:
            methods = found.slices[name].methods
            content, random = (methods[method]["ndcg@10"].value for method in (CONTENT, RANDOM))
            lines.append(f"- content / random, {name}: {report.verdict(content / random, 2.0, 2.0)}")
    return lines


def write(markdown: str) -> None:
    """Replaces the section of the page, or appends it."""
    text, block = PAGE.read_text(), f"{BEGIN}\n{markdown.strip()}\n\n{report.machine()}\n{END}"
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: block, text) if pattern.search(text) else f"{text.rstrip()}\n\n{block}\n")
    print(markdown)


def main() -> None:
    """Both cuts."""
    data = (
        Path(os.environ.get("VIDREC_TEST_DATA") or ROOT.parent / "shared" / "data") / "interactions" / "ml-latest-small"
    )
    parts = [HEAD]
    for title, by in (
        ("Cut at two moments", SplitBy.TIME),
        ("Each user's own last ones (others' later ratings are learned from: flatters all but content)", SplitBy.USER),
    ):
        found = measured(data, by)
        parts += [f"### {title}", "\n".join(verdicts(found)), section(found)]
    write("\n\n".join(parts))


if __name__ == "__main__":
    main()
