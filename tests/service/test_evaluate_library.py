"""`vidrec evaluate interactions` on a library, with the index that a data folder has."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.documentation import commands
from tests.library import Library
from vidrec.bootstrap import open_database, open_index
from vidrec.cli.index import reachable_index
from vidrec.settings import load_settings


@pytest.mark.full
def test_the_commands_of_the_page_on_a_library(tmp_path: Path, migrated: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(migrated, data / "vidrec.db")
    settings = load_settings(data_dir=data)
    settings.vectors_dir.mkdir(parents=True)
    with (
        reachable_index(settings) as here,
        closing(open_database(here)) as database,
        closing(open_index(here)) as index,
    ):
        library = Library(database, index)  # type: ignore[arg-type]
        families = [library.add_family(name, 8) for name in ("sea", "city")]
        for moment in range(60):
            user = moment * 7 % 10
            library.act(f"u{user}", families[user % 2][moment * 3 % 8])
        on_library = [command for command in commands("docs/evaluate.md") if "ratings.csv" not in command]
        assert len(on_library) == 2
        run(on_library[0], data, tmp_path, f"VIDREC_MILVUS_URI={here.milvus_uri}")
    found = json.loads(run(on_library[1], data, tmp_path).stdout)
    assert (found["items"], found["users"]) == (16, 10)
    assert "content" in found["slices"]["all"]["methods"]
    assert (tmp_path / "quality.svg").stat().st_size > 1000


def run(command: str, data: Path, folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    words = ["env", *variables, sys.executable, "-m", *command.split(), "--data", str(data)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done
