"""A folder of 1,000 files of mixed types answers, and its second add sends nothing."""

from pathlib import Path

import pytest

from tests.e2e import folder
from tests.e2e.process.mesh import Mesh, check


@pytest.mark.timeout(400)
def test_a_folder_of_a_thousand_files_answers_with_verified_citations(mesh: Mesh, tmp_path: Path) -> None:
    folder.make(tmp_path, files=1000, seed=7)
    report = mesh.json("ask", folder.QUESTION, "--corpus", str(tmp_path))
    assert "47 metres" in report["report"]
    assert check(mesh.home / "reports" / report["goal_id"])["citations"]
    name = mesh.json("corpus", "list")
    corpus = next(c["name"] for c in name if c["documents"] == 1000)
    again = mesh.json("corpus", "add", corpus, str(tmp_path))
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 1000)
