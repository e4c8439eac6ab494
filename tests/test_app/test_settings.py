"""Settings: what is kept, what is put right, and that it is said."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import settings_table
from app.settings import (
    FIELDS,
    Settings,
    clip_options,
    field_named,
    generate_options,
    load,
    problem,
    save,
    settings_path,
    with_recent,
)
from engines.errors import StoreError
from tests import settings_doc
from tests.unprivileged import public_folder, read_only, unprivileged

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.json"


def stored(file: Path, **values: Any) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(values))
    return file


def test_a_first_start_has_the_defaults_and_says_nothing(file: Path) -> None:
    assert load(file) == (Settings(), None)
    assert not file.parent.exists()


def test_what_is_saved_comes_back(file: Path) -> None:
    changed = Settings(
        language="de",
        threads=3,
        temperature=0.7,
        recent=("a.mp4", "b\udcff.png", "Übung 7.mkv"),
        window_geometry="AdnQywAD",
        history_enabled=False,
    )
    save(changed, file)
    assert load(file) == (changed, None)
    assert file.parent.stat().st_mode & 0o77 == 0


def test_the_table_and_the_dataclass_hold_the_same_settings_with_possible_defaults() -> None:
    names = {f.name for f in dataclasses.fields(Settings)} - {"unknown"}
    assert [row.name for row in FIELDS] == list(dict.fromkeys(row.name for row in FIELDS))
    assert {row.name for row in FIELDS} == names
    for row in FIELDS:
        assert problem(row.name, getattr(Settings(), row.name)) is None
        assert bool(row.label) == bool(row.group) == bool(row.explanation)
        assert not row.group or row.explanation.endswith(".")
        assert row.optional == (problem(row.name, None) is None)
        assert row.optional == bool(row.none_label)
        assert (row.kind == "choice") == bool(row.choices)
        assert (row.kind in ("int", "float")) == (row.minimum is not None)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b" " * (2 << 20), b"9" * 5000],
)
def test_an_unreadable_file_is_kept_aside_and_said(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    settings, notice = load(file)
    assert settings == Settings()
    (kept,) = file.parent.iterdir()
    assert kept.name.startswith("settings-damaged-")
    assert kept.read_bytes() == content
    assert notice is not None
    assert kept.name in notice
    save(settings, file)
    assert load(file) == (Settings(), None)


def test_two_damaged_files_in_the_same_second_are_both_kept(file: Path) -> None:
    file.parent.mkdir()
    for content in ("one", "two", "three"):
        file.write_text(content)
        load(file)
    assert sorted(p.read_text() for p in file.parent.iterdir()) == ["one", "three", "two"]


def test_a_folder_in_the_file_s_place_is_kept_aside(file: Path) -> None:
    file.mkdir(parents=True)
    settings, notice = load(file)
    assert notice is not None
    save(settings, file)
    assert load(file) == (Settings(), None)


def test_a_value_that_cannot_be_costs_only_itself(file: Path) -> None:
    stored(
        file, theme="dark", temperature="hot", threads=0, seed=True, recent=["a", 1], language=[]
    )
    settings, notice = load(file)
    assert settings == Settings(theme="dark")
    assert notice is not None
    for name in ("temperature", "threads", "seed", "recent", "language"):
        assert name in notice
    assert file.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", -0.1),
        ("temperature", 10**400),
        ("top_p", 0),
        ("top_k", 1.5),
        ("num_frames", 129),
        ("num_frames", "8"),
        ("seed", -1),
        ("seed", None),
        ("muted", 1),
        ("device", "quantum"),
        ("device", {}),
        ("bundle", "a\0b"),
        ("bundle", "/a\ud800"),
        ("bundle", 7),
        ("recent", "a"),
        ("recent", ["\ud800"]),
        ("recent", ["a"] * 13),
        ("window_layout", "x" * (1 << 20)),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(name: str, value: object) -> None:
    sentence = problem(name, value)
    assert sentence is not None
    assert name in sentence
    assert sentence.endswith(".")


def test_limits_themselves_are_possible() -> None:
    for row in FIELDS:
        if row.kind in ("int", "float"):
            assert problem(row.name, row.minimum) is None
            assert problem(row.name, row.maximum) is None


def test_a_tiny_temperature_is_none_and_a_whole_one_a_float(file: Path) -> None:
    assert load(stored(file, temperature=0.003))[0].temperature == 0.0
    one = load(stored(file, temperature=1))[0].temperature
    assert isinstance(one, float)


def test_keys_of_a_newer_version_survive(file: Path) -> None:
    stored(file, theme="light", hologram={"depth": [3]}, unknown="yes")
    settings, notice = load(file)
    assert notice is None
    save(dataclasses.replace(settings, theme="dark"), file)
    assert json.loads(file.read_text())["hologram"] == {"depth": [3]}
    assert json.loads(file.read_text())["unknown"] == "yes"
    assert load(file)[0].theme == "dark"


def test_a_link_to_the_settings_stays_a_link(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    file.symlink_to(tmp_path / "elsewhere.json")
    save(Settings(theme="dark"), file)
    assert file.is_symlink()
    assert load(file)[0].theme == "dark"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"could not be saved to .*permissions"):
        save(Settings(), tmp_path / "file" / "settings.json")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StoreError, match="could not be saved"):
        save(Settings(), tmp_path / "a")


def test_a_file_that_cannot_be_put_aside_is_said() -> None:
    with public_folder() as folder:
        file = folder / "settings.json"
        file.write_text("{")
        with read_only(folder):
            said = unprivileged("from app.settings import load", "print(load(path)[1])", file)
        assert "not be put aside" in said
        assert file.read_text() == "{"


def test_two_programs_that_save_at_once_leave_a_whole_file(file: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from app.settings import Settings, save\n"
        "for _ in range(50): save(Settings(theme=sys.argv[2]), Path(sys.argv[1]))"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(file), theme], cwd=ROOT)
        for theme in ("dark", "light")
    ]
    while any(writer.poll() is None for writer in writers):
        assert load(file)[1] is None
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [p.name for p in file.parent.iterdir()] == ["settings.json"]


def test_recent_clips_are_the_last_ones_once_each(tmp_path: Path) -> None:
    settings = Settings()
    for i in (*range(20), 15):
        settings = with_recent(settings, tmp_path / f"{i}.mp4")
    assert len(settings.recent) == settings_table.MAX_RECENT
    assert settings.recent[0] == str(tmp_path / "15.mp4")
    assert settings.recent.count(settings.recent[0]) == 1
    assert problem("recent", settings.recent) is None


def test_without_a_history_no_clip_is_remembered(tmp_path: Path) -> None:
    private = Settings(history_enabled=False)
    assert with_recent(private, tmp_path / "a.mp4") == private


def test_the_options_of_a_question_follow_the_settings(tmp_path: Path) -> None:
    settings = Settings(num_frames=4, sound="only", temperature=0.5, top_k=7, seed=3)
    clip = clip_options(settings, tmp_path)
    assert (clip.path, clip.num_frames, clip.sound, clip.seed) == (tmp_path, 4, "only", 3)
    options = generate_options(settings)
    assert (options.temperature, options.top_k, options.seed) == (0.5, 7, 3)
    assert options.max_new_tokens is None


def test_the_file_lies_in_the_user_s_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    assert settings_path().name == "settings.json"
    assert field_named("theme").choices[0][0] == "system"


def test_the_document_is_drawn_from_the_table() -> None:
    assert settings_doc.PAGE.read_text(encoding="utf-8") == settings_doc.page()
