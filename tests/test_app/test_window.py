"""The real window on the real demo bundle and real clips, from dropping a file to closing."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from app import history as history_module
from app.widgets import file_dialogs
from assets import demo_clips
from tests.desktop import CLIP, Desktop, asked_of

pytestmark = pytest.mark.gui

FIRST = asked_of("bounce.mp4")[0]
SECOND = asked_of("bounce.mp4")[1]


@pytest.fixture
def start(qtbot, qapp) -> Iterator[Callable[..., Desktop]]:
    opened: list[Desktop] = []

    def begin(clip: Path | None = None) -> Desktop:
        opened.append(Desktop(qtbot, qapp, clip))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


@pytest.fixture
def desktop(start) -> Desktop:
    return start()


def test_a_dropped_clip_is_asked_about_twice(desktop: Desktop) -> None:
    desktop.open(CLIP)
    assert desktop.window.windowTitle().startswith("bounce.mp4")
    pieces: list[str] = []
    desktop.window.talk.piece.connect(lambda _, text: pieces.append(text))
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    assert desktop.shown() == FIRST["answer"]
    assert "".join(pieces).strip() == FIRST["answer"]
    assert desktop.ask(SECOND["question"]) == SECOND["answer"]
    assert [turn.status for turn in desktop.turns] == ["done", "done"]
    usage = desktop.turns[0].result["usage"]
    assert usage["visual_tokens"] > 0
    assert usage["audio_tokens"] > 0
    desktop.until(lambda: len(desktop.rows()) == 1)


def test_a_question_typed_early_waits_for_the_clip(start) -> None:
    desktop = start(CLIP)
    desktop.until(lambda: desktop.window.clip_work.clip is not None)
    assert desktop.window.clip_work.encoding_now
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]


def test_the_demo_is_one_click(desktop: Desktop) -> None:
    desktop.views.player.demoRequested.emit()
    desktop.until(lambda: desktop.turns)
    desktop.settled()
    asked = {one["question"]: one["answer"] for one in asked_of("bounce.mp4")}
    assert desktop.turns[0].answer == asked[desktop.turns[0].question]
    assert any("only its small synthetic world" in text for text in desktop.views.notices.texts())


def test_an_answer_is_stopped_half_way_and_given_again(desktop: Desktop) -> None:
    desktop.open(CLIP)
    long = max(asked_of("bounce.mp4"), key=lambda one: len(one["answer"]))
    desktop.window.talk.piece.connect(lambda *_: desktop.window.talk.stop())
    desktop.type(long["question"])
    desktop.until(lambda: desktop.turns)
    desktop.settled()
    desktop.window.talk.piece.disconnect()
    desktop.window.talk.piece.connect(desktop.chat.add_piece)
    (turn,) = desktop.turns
    assert turn.status in ("stopped", "done")  # the model may be faster than the stop
    assert long["answer"].startswith(turn.answer.strip())
    desktop.chat.transcript.last().regenerate()
    desktop.until(lambda: desktop.turns[-1] is not turn)
    desktop.settled()
    (again,) = desktop.turns
    assert again.status == "done"
    assert again.answer == long["answer"] == desktop.shown()


def test_an_edited_question_replaces_what_followed(desktop: Desktop) -> None:
    desktop.open(CLIP)
    desktop.ask(FIRST["question"])
    desktop.ask(SECOND["question"])
    first = desktop.turns[0]
    desktop.chat.editRequested.emit(first.id, SECOND["question"])
    desktop.settled()
    assert [turn.question for turn in desktop.turns] == [SECOND["question"]]
    assert desktop.turns[0].answer == SECOND["answer"]
    assert desktop.chat.transcript.view(first.id) is None


def test_sound_off_changes_what_is_heard(desktop: Desktop) -> None:
    desktop.open(CLIP)
    heard = next(one for one in asked_of("bounce.mp4") if one["type"] == "beeps")
    assert desktop.ask(heard["question"]) == heard["answer"]
    desktop.chat.bar.modes["off"].trigger()
    deaf = desktop.ask(heard["question"])
    assert deaf != heard["answer"]
    assert desktop.turns[1].result["usage"]["audio_tokens"] == 0
    assert desktop.turns[1].result["coverage"]["sound_spans_s"] == []
    desktop.chat.bar.modes["on"].trigger()
    assert desktop.ask(heard["question"]) == heard["answer"]


def test_a_range_reaches_the_model(desktop: Desktop) -> None:
    desktop.open(CLIP)
    desktop.views.player.rangeChanged.emit((1.0, 2.0))
    desktop.ask(FIRST["question"])
    times = desktop.turns[0].result["coverage"]["frame_times_s"]
    assert times
    assert all(0.9 <= time <= 2.1 for time in times)


def test_a_restarted_program_finds_the_conversation(start, tmp_path, monkeypatch) -> None:
    first = start()
    first.window.resize(1111, 777)
    first.open(CLIP)
    first.ask(FIRST["question"])
    first.close()
    second = start()
    assert (second.window.width(), second.window.height()) == (1111, 777)
    second.until(lambda: len(second.rows()) == 1)
    panel = second.views.history
    panel.search.setText(FIRST["answer"].split()[2])
    second.until(lambda: second.rows() and second.rows()[0].snippet)
    panel.search.setText("nobody said this")
    second.until(lambda: not second.rows())
    panel.search.clear()
    second.until(lambda: len(second.rows()) == 1)
    panel.opened.emit(second.rows()[0].id)
    second.until(lambda: second.turns)
    assert second.shown() == FIRST["answer"]
    second.until(lambda: second.window.clip_work.clip is not None)
    assert second.ask(SECOND["question"]) == SECOND["answer"]
    for form, ending in (("markdown", ".md"), ("json", ".json")):
        path = tmp_path / f"export{ending}"
        monkeypatch.setattr(file_dialogs, "choose_export", lambda *_, path=path: path)
        getattr(second.window.commands, f"export_{form}").trigger()
        second.until(path.exists)
        assert FIRST["answer"] in path.read_text()


def test_the_engine_is_killed_in_mid_answer(desktop: Desktop) -> None:
    desktop.open(CLIP)
    link = desktop.window._link
    pid = link.pid

    def kill(_: object) -> None:
        os.kill(link.pid, signal.SIGKILL)

    desktop.window.talk.began.connect(kill)
    desktop.type(FIRST["question"])
    desktop.until(lambda: desktop.turns)
    desktop.settled()
    desktop.window.talk.began.disconnect(kill)
    (turn,) = desktop.turns
    assert turn.status == "failed"
    assert "ended unexpectedly" in turn.result["error"]
    desktop.until(lambda: link.pid not in (None, pid))
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    assert len(desktop.turns) == 2


def test_the_engine_dies_idle(desktop: Desktop) -> None:
    desktop.open(CLIP)
    pid = desktop.window._link.pid
    os.kill(pid, signal.SIGKILL)
    desktop.until(lambda: desktop.window._link.pid not in (None, pid))
    said = [text for text in desktop.views.notices.texts() if "ended unexpectedly" in text]
    assert len(said) == 1
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]


def test_closing_during_encoding_leaves_nothing(start) -> None:
    desktop = start(CLIP)
    desktop.until(lambda: desktop.window.clip_work.encoding_now)
    desktop.close()  # `nothing_left` looks for threads and processes


def test_closing_during_an_answer_keeps_what_was_written(start) -> None:
    desktop = start(CLIP)
    desktop.until(lambda: desktop.window.clip_work.clip is not None)
    desktop.type(FIRST["question"])
    desktop.until(lambda: desktop.turns)
    desktop.close()
    again = start()
    again.until(again.rows)
    again.views.history.opened.emit(again.rows()[0].id)
    again.until(lambda: again.turns)
    assert again.turns[0].question == FIRST["question"]
    assert again.turns[0].status in ("stopped", "done")


def test_a_moved_clip_is_found_by_its_content(start, tmp_path) -> None:
    old = tmp_path / "clips" / "mine.mp4"
    old.parent.mkdir()
    old.write_bytes(CLIP.read_bytes())
    first = start()
    first.open(old)
    first.ask(FIRST["question"])
    first.close()
    new = tmp_path / "elsewhere" / "renamed.mp4"
    new.parent.mkdir()
    old.rename(new)
    second = start()
    second.until(second.rows)
    second.views.history.opened.emit(second.rows()[0].id)
    second.until(lambda: second.window.clip_work.clip is not None)
    assert second.window.clip_work.clip.path == new
    assert second.ask(SECOND["question"]) == SECOND["answer"]


def test_a_lost_clip_leaves_the_conversation_readable(start, tmp_path, monkeypatch) -> None:
    old = tmp_path / "clips" / "mine.mp4"
    old.parent.mkdir()
    old.write_bytes(CLIP.read_bytes())
    first = start()
    first.open(old)
    first.ask(FIRST["question"])
    first.close()
    old.unlink()
    second = start()
    second.until(second.rows)
    second.views.history.opened.emit(second.rows()[0].id)
    second.until(lambda: any("gone" in text for text in second.views.notices.texts()))
    assert second.shown() == FIRST["answer"]
    assert second.window.clip_work.clip is None
    second.type(SECOND["question"])
    second.until(lambda: "mine.mp4" in second.error() or second.turns[-1].status == "failed")


def test_every_command_has_a_name_and_no_key_is_taken_twice(desktop: Desktop) -> None:
    everywhere: dict[str, str] = {}
    for action in desktop.window.all_commands():
        assert action.text()
        if action.shortcutContext() != Qt.ShortcutContext.WindowShortcut:
            continue
        for keys in action.shortcuts():
            assert keys.toString() not in everywhere, (action.text(), everywhere)
            everywhere[keys.toString()] = action.text()


def test_demo_clips_are_not_kept_as_recent(desktop: Desktop, tmp_path) -> None:
    desktop.open(demo_clips() / "flash.mp4")
    assert desktop.window.store.now.recent == ()
    mine = tmp_path / "mine.mp4"
    mine.write_bytes(CLIP.read_bytes())
    desktop.open(mine)
    desktop.until(lambda: desktop.window.store.now.recent == (str(mine),))


def test_the_history_file_lies_in_the_users_home(desktop: Desktop, home) -> None:
    assert history_module.history_path().is_relative_to(home)


def test_a_question_typed_before_the_file_was_looked_at_is_not_lost(desktop: Desktop) -> None:
    desktop.drop(CLIP)
    desktop.type(FIRST["question"])  # in the same moment
    desktop.until(lambda: desktop.turns)
    desktop.settled()
    assert desktop.turns[0].answer == FIRST["answer"]


def test_a_clip_with_another_content_is_said(start, tmp_path) -> None:
    mine = tmp_path / "mine.mp4"
    mine.write_bytes(CLIP.read_bytes())
    first = start()
    first.open(mine)
    first.ask(FIRST["question"])
    first.close()
    changed = bytearray(CLIP.read_bytes())
    changed[-1] ^= 1  # of the same size
    mine.write_bytes(changed)
    second = start()
    second.until(second.rows)
    second.views.history.opened.emit(second.rows()[0].id)
    second.until(lambda: any("another content" in text for text in second.views.notices.texts()))
    assert second.shown() == FIRST["answer"]


def test_a_narrow_window_puts_the_views_above_each_other(desktop: Desktop) -> None:
    window, views = desktop.window, desktop.views
    desktop.open(CLIP)
    assert views.player.mapTo(window, views.player.pos()).x() > 0
    window.resize(480, 860)
    desktop.until(lambda: views.chat.mapTo(window, views.chat.rect().topLeft()).y() > 300)
    assert window.width() == 480
    assert views.history.isHidden()
    window.commands.history.trigger()
    assert views.history.isVisible()
    assert not views.chat.isVisible()
    desktop.ask(FIRST["question"])
    desktop.until(desktop.rows)
    views.history.opened.emit(desktop.rows()[0].id)
    assert views.history.isHidden()
    assert views.chat.isVisible()
    window.resize(1300, 800)
    desktop.until(views.history.isVisible)
    assert views.player.isVisible()
