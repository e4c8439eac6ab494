from pathlib import Path

import pytest

from export.cli import main
from export.demo import clips
from export.demo.clips import SETS, Wanted
from export.demo.controls import CONTROLS


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Wanted]]:
    """What `demo clips` was to write."""
    asked: list[tuple[Path, Wanted]] = []

    def write(folder: Path, wanted: Wanted, told: object) -> int:
        asked.append((folder, wanted))
        return 5

    monkeypatch.setattr(clips, "write_set", write)
    return asked


@pytest.mark.parametrize(
    ("arguments", "set_"),
    [
        ("", Wanted(1000, clips=100)),
        ("--count 7 --seed 0", Wanted(0, clips=7)),
        ("--questions 200 --seed 7", Wanted(7, questions=200)),
        ("--set calibration", Wanted(51_001, clips=48)),
        ("--set evaluation --paraphrased", Wanted(81_007, questions=200, paraphrased=True)),
        ("--count 3 --control no-sound", Wanted(1000, clips=3, control="no-sound")),
    ],
)
def test_demo_clips(arguments, set_, wanted, capsys):
    assert main(["demo", "clips", "out", *arguments.split()]) == 0
    assert wanted == [(Path("out"), set_)]
    files = "questions.jsonl and unchanged.jsonl" if set_.control else "questions.jsonl"
    assert capsys.readouterr().err == f"5 clips, with {files}, are in out\n"


@pytest.mark.parametrize(
    "arguments",
    [
        "--count 7 --questions 7",
        "--count 7 --set evaluation",
        "--questions 0",
        "--set evaluation --seed 7",
        "--control reversed --paraphrased",
        "--control sideways",
    ],
)
def test_demo_clips_used_wrongly(arguments, wanted, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "clips", "out", *arguments.split()])
    assert stopped.value.code == 2
    assert "usage: vl2-export demo clips" in capsys.readouterr().err
    assert wanted == []


def test_the_command_knows_every_set_and_control(capsys):
    for option, names in (("--set", SETS), ("--control", CONTROLS)):
        with pytest.raises(SystemExit):
            main(["demo", "clips", "out", option, "none"])
        said = capsys.readouterr().err
        assert all(f"'{name}'" in said or f" {name}" in said for name in names)
        assert said.rsplit("choose from", 1)[1].count(",") == len(names) - 1


def test_ablate_refuses_what_is_not_finished(tmp_path, capsys):
    assert main(["demo", "ablate", str(tmp_path)]) == 1
    assert "holds no finished training to compare with" in capsys.readouterr().err
