"""`vidrec evaluate interactions`"""

from __future__ import annotations

import math
import re
from contextlib import closing, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidrec.cli.console import emit_json, say, stderr, stdout
from vidrec.domain.errors import InvalidInput
from vidrec.domain.interaction_log import InteractionLog, SplitBy
from vidrec.domain.models import utc_now
from vidrec.settings import Settings, load_settings

if TYPE_CHECKING:
    from vidrec.application.evaluate_interactions import Comparison, FeaturesAt
    from vidrec.domain.measures import Interval

_GATE = re.compile(r"(?P<measure>[a-z]+(@[0-9]+)?)=(?P<least>[0-9.]+)")


def interactions(
    file: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet of what users did; default: the library's own interactions.")
    ] = None,
    features: Annotated[
        list[Path] | None, typer.Option(help="CSV or Parquet of what is known of items; may be given several times.")
    ] = None,
    user: Annotated[str, typer.Option(help="Column of users.")] = "user",
    item: Annotated[str, typer.Option(help="Column of items, also in --features.")] = "item",
    time: Annotated[str, typer.Option(help="Column of times: ISO 8601 or seconds since 1970.")] = "time",
    value: Annotated[str, typer.Option(help="Column of values; may be missing.")] = "value",
    least: Annotated[
        float | None, typer.Option("--liked", help="Least value that counts as liked; default: all above 0.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the lists.")] = 10,
    split: Annotated[SplitBy, typer.Option(help="Cut at two moments, or each user's own last ones.")] = SplitBy.TIME,
    validation: Annotated[float, typer.Option(help="Share of the rows to tune on.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the rows to measure on, the last ones.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 7,
    least_values: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="MEASURE=X", help="Exit with 1 where the hybrid is below: `ndcg@10=0.1`."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (SVG) of NDCG by slice here.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Which way of recommending finds what users liked next? Random, popular, item-to-item co-watch, EASE, content, and
    a hybrid whose weights are tuned on a window before the one that is measured; every item of the catalogue is
    ranked."""
    from vidrec.application.evaluate_interactions import Options, compare

    gates = [_gate(text, k) for text in least_values or []]
    if plot is not None and not plot.absolute().parent.is_dir():
        raise InvalidInput(f"--plot: there is no folder {plot.absolute().parent}", field="plot")
    if file is None:
        if features:
            raise InvalidInput("--features goes with a file of interactions: name that first", field="features")
        log, features_at = _library(load_settings(data_dir=data))
    else:
        log, features_at = _files(file, features or [], (user, item, time, value), least)
    options = Options(k=k, split=split, validation=validation, test=test, seed=seed)
    with stderr.status("cutting the log") as status:
        try:
            found = compare(log, features_at, options, lambda step: status.update(step))
        except InvalidInput as error:
            raise InvalidInput(f"{file or 'the library'}: {error}", field=error.field) from None
    if plot is not None:
        _write(plot, found)
    if as_json:
        emit_json(_finite(asdict(found)))
    else:
        _print(found)
    _check(gates, found)


def _files(
    file: Path, features: list[Path], names: tuple[str, str, str, str], least: float | None
) -> tuple[InteractionLog, FeaturesAt]:
    from vidrec.adapters.tables import read_table
    from vidrec.application.interaction_tables import Columns, Table, read_features, read_log

    user, item, time, value = names
    columns, now = Columns(user=user, item=item, time=time, value=value), utc_now()
    with stderr.status("reading"):
        known = read_features([Table(str(path), read_table(path)) for path in features], columns, now=now)
        log, known.items = read_log(Table(str(file), read_table(file)), known.items, columns, least=least, now=now)
    return log, known.at


def _library(settings: Settings) -> tuple[InteractionLog, FeaturesAt]:
    from vidrec.application.library_interactions import library_log
    from vidrec.bootstrap import open_database, open_index
    from vidrec.cli.index import PATIENCE_S, reachable_index
    from vidrec.supervisor.system import settings_of_running

    if not settings.database_url and not (settings.data_dir / "vidrec.db").exists():
        raise InvalidInput(
            f"there is no library in {settings.data_dir}: name a file, or a folder by --data", field="data"
        )
    settings = settings.model_copy(update={"milvus_timeout_s": max(settings.milvus_timeout_s, PATIENCE_S)})
    running = settings_of_running(settings)
    with (
        nullcontext(running) if running is not None else reachable_index(settings) as here,
        closing(open_database(here)) as database,
        closing(open_index(here)) as index,
        stderr.status("reading the library"),
    ):
        found = library_log(database, index)
    if found.left_out:
        say(f"left out: {found.left_out} interactions with videos that are not recommendable now")
    return found.log, found.features_at


def _gate(text: str, k: int) -> tuple[str, float]:
    names = (f"hr@{k}", f"ndcg@{k}", f"recall@{k}", "mrr", f"novelty@{k}", f"variety@{k}", f"coverage@{k}")
    parts = _GATE.fullmatch(text)
    try:
        if parts is not None and parts["measure"] in names:
            return parts["measure"], float(parts["least"])
    except ValueError:
        pass
    raise InvalidInput(f"--min {text}: expected MEASURE=NUMBER with one of {', '.join(names)}", field="min")


def _check(gates: list[tuple[str, float]], found: Comparison) -> None:
    from vidrec.application.evaluate_interactions import ALL, HYBRID

    failed = False
    for name, least in gates:
        if name.startswith("coverage"):
            reached = found.coverage[HYBRID]
        else:
            reached = found.slices[ALL].methods[HYBRID][name].value
        if not reached >= least:  # what is not known (NaN) does not pass either
            failed = True
            say(f"below: {name} of the hybrid is {reached:.4f}, expected at least {least:g}")
    if failed:
        raise typer.Exit(1)


def _print(found: Comparison) -> None:
    from rich.table import Table

    out = stdout()
    for name, part in found.slices.items():
        table = Table(title=f"{name}: {part.users} users, {part.targets} targets", title_justify="left")
        table.add_column("")
        measures = list(next(iter(part.methods.values())))
        coverage = [f"coverage@{found.options.k}"] if name == next(iter(found.slices)) else []
        for measure in (*measures, *coverage):
            table.add_column(measure, justify="right")
        for method, values in part.methods.items():
            table.add_row(
                method,
                *(_cell(values[measure]) for measure in measures),
                *([f"{found.coverage[method]:.3f}"] if coverage else []),
            )
        out.print(table)
        ratio = part.hybrid.ratio
        told = "nothing to compare with" if ratio is None else _cell(ratio)
        out.print(f"NDCG of the hybrid / {part.hybrid.best} (best single one here): {told}\n", markup=False)
    for sentence in found.left_out:
        say(sentence)
    say(
        f"{found.rows} pairs of {found.users} users and {found.items} items, {found.liked} liked; "
        f"{found.cold} items nobody met before the test window"
    )
    if found.starts[0] is not None and found.starts[1] is not None:
        first, second = (datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") for at in found.starts if at)
        say(f"validation window from {first}, test window from {second}")
    weights = ", ".join(f"{name} {weight:g}" for name, weight in found.tuned.weights.items())
    say(f"tuned on {found.tuned.users} users of the validation window: {weights}")


def _cell(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "-"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _finite(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _write(path: Path, found: Comparison) -> None:
    from vidrec.cli.plot import Bar, bars

    name = f"ndcg@{found.options.k}"
    groups = {
        f"{title} ({part.users} users)": [
            Bar(method, values[name].value, values[name].low, values[name].high)
            for method, values in part.methods.items()
        ]
        for title, part in found.slices.items()
    }
    try:
        path.write_text(bars(f"NDCG@{found.options.k} with 95 % intervals", groups), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"--plot: {path} cannot be written ({error.strerror})", field="plot") from None
    say(f"plot: {path}")
