"""How well encoders put like beside like, on the reporting half of the test media; writes docs/quality.md.

python -m bench.quality
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import recommenders, report
from vidrec.adapters.labelled_pictures import read_labelled_pictures
from vidrec.adapters.onnx_encoder import OnnxEncoder
from vidrec.application.evaluate_retrieval import CHANCE, HISTOGRAM, MODEL, Labelled, Report
from vidrec.application.evaluate_retrieval import evaluate_clips as clips_report
from vidrec.application.evaluate_retrieval import evaluate_pictures as pictures_report
from vidrec.bootstrap import open_frame_source
from vidrec.domain.halves import Half, clip_is_in
from vidrec.model.built_in import NAME, default_weights
from vidrec.model.export import export
from vidrec.model.manifest import ONNX_FILE
from vidrec.settings import load_settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "quality.md"
HEAD = """# Quality

Written by `make quality`. Each picture or clip asks for the others: **mAP** is the mean average precision of those of
its kind, **recall@1** the share of first answers that are of it. Near-duplicates of a clip do not count as found when
it asks for its category; they have a column of their own, at a threshold that lets 0.5 % of other pairs collapse.

Only the reporting half of the media is looked at here: the other half is what everything was tuned on
(`src/vidrec/domain/halves.py`). The same for pictures of your own: `vidrec evaluate retrieval --help`.
"""


def models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder of every encoder that is measured."""
    yield "untrained, int8", export("resnet18", "untrained", folder, precision="int8")
    arch, weights = default_weights()
    if weights == NAME:
        yield "built-in, fp32", export(arch, weights, folder)
        yield "built-in, int8", export(arch, weights, folder, precision="int8")


def labelled(data: Path) -> list[Labelled]:
    """The clips of the reporting half."""
    with (data / "videos_labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if clip_is_in(row["file"], Half.REPORTING)]
    return [Labelled(data / "videos" / row["file"], row["category"], row["neardup_group"] or None) for row in rows]


def rows(found: dict[str, Report]) -> list[list[str]]:
    """Chance and histogram once, then each model; one line each."""
    first = next(iter(found.values()))
    shown = [(name, first, name) for name in (CHANCE, HISTOGRAM)] + [(name, r, MODEL) for name, r in found.items()]
    lines = []
    for name, one, method in shown:
        measured, twins = one.retrieval[method], one.near_duplicates.get(method)
        line = [name, f"{measured.mean_average_precision:.3f}", f"{measured.recall_at_1:.3f}"]
        lines.append([*line, *([f"{twins.recall_at_1:.3f}" if twins else "-"] if first.near_duplicates else [])])
    return lines


def main() -> None:
    """Measures photographs and clips with every encoder."""
    data = Path(os.environ.get("VIDREC_TEST_DATA") or ROOT.parent / "shared" / "data")
    photographs = read_labelled_pictures(data / "images" / "caltech101", field="folder", half=Half.REPORTING)
    clips, source = labelled(data), open_frame_source(load_settings())
    of_pictures: dict[str, Report] = {}
    of_clips: dict[str, Report] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models(Path(folder)):
            encode = OnnxEncoder(model / ONNX_FILE).run
            of_pictures[name] = pictures_report(photographs.frames, photographs.labels, encode)
            of_clips[name] = clips_report(clips, source, encode)
    one, other = next(iter(of_pictures.values())), next(iter(of_clips.values()))
    kept = PAGE.read_text().partition(recommenders.BEGIN)[1:] if PAGE.exists() else ()
    PAGE.write_text(
        f"{HEAD}\n## Photographs\n\n{one.items} of Caltech-101 in {one.labels} kinds.\n\n"
        + report.table(("", "mAP", "recall@1"), rows(of_pictures))
        + f"\n\n## Clips\n\n{other.items} clips, {other.retrieval[MODEL].queries} of them in {other.labels} categories "
        "with others to be found.\n\n"
        + report.table(("", "mAP", "recall@1", "near-duplicates found"), rows(of_clips))
        + f"\n\n{report.machine()}\n"
        + "".join(("\n", *kept) if any(kept) else ())
    )
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
