"""The live page in the real window, with a recorder that opens no device."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QObject, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from app.capture.camera import CameraWish
from app.capture.device_thread import DeviceState
from app.capture.recorder import Span
from app.widgets.ask_options import AskOptions
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.live_bar import LiveBar
from app.widgets.live_devices import Devices, LiveDevices
from app.widgets.live_facts import facts
from app.widgets.live_recording import LiveRecording, make_recorder
from app.widgets.live_talk import LiveTalk
from engines.live_clip import LiveClip
from tests.desktop import PATIENCE_MS, Desktop, asked_of
from tests.live_devices import PictureServer, jpeg
from tests.live_stand_in import DEVICES, StandIn

pytestmark = pytest.mark.gui

FIRST = asked_of("bounce.mp4")[0]
SECOND = asked_of("bounce.mp4")[1]


@pytest.fixture
def desktop(qtbot, qapp) -> Iterator[Desktop]:
    StandIn.made.clear()
    one = Desktop(qtbot, qapp)
    live = one.window.live
    live.recording.make = StandIn
    live.find = lambda anew: DEVICES
    yield one
    one.close()


@pytest.fixture
def page(desktop: Desktop):
    """The page, shown, its devices found; nothing is recorded."""
    desktop.window.commands.live_page.trigger()
    page = desktop.views.live
    desktop.until(lambda: page.devices.camera.count() == 2)
    return page


@pytest.fixture
def recording(desktop: Desktop, page) -> StandIn:
    """A running recording; the second time the clip was played is asked about."""
    desktop.until(lambda: desktop.window.desk.info)
    page.start_button.click()
    desktop.until(lambda: desktop.window.live.recording.on)
    recorder = StandIn.made[0]
    desktop.until(lambda: page.bar._now_s)
    page.bar.choose(recorder.span())
    return recorder


def turns(desktop: Desktop):
    return desktop.window.live.talk.conversation.turns


def answered(desktop: Desktop, count: int = 1) -> None:
    talk = desktop.window.live.talk
    desktop.until(lambda: len(turns(desktop)) == count and talk.writing is None)


def test_nothing_is_opened_before_start_or_after_the_page_is_left(desktop: Desktop, page) -> None:
    assert StandIn.made == []
    assert page.devices.wanted_camera() == "0"
    assert page.devices.wanted_microphone() == "default"
    page.start_button.click()
    desktop.until(lambda: desktop.window.live.recording.on)
    [recorder] = StandIn.made
    assert (recorder.opened, recorder.closed) == (1, 0)
    assert desktop.views.status._live.text() == "● recording"
    desktop.until(lambda: not page.view.image.isNull())
    desktop.window.commands.models_page.trigger()
    desktop.until(lambda: recorder.closed == 1)
    assert desktop.window.live.recording.recorder is None
    assert desktop.views.status._live.isHidden()


def test_leaving_while_the_devices_are_being_opened_closes_them(desktop: Desktop, page) -> None:
    page.start_button.click()
    desktop.window.commands.talk_page.trigger()
    desktop.until(lambda: StandIn.made and StandIn.made[0].closed == 1)
    assert not desktop.window.live.recording.on


def test_a_live_question_is_answered_as_the_file_is(desktop: Desktop, page, recording) -> None:
    pieces: list[str] = []
    desktop.window.live.talk.piece.connect(lambda _, text: pieces.append(text))
    desktop.type(FIRST["question"])
    answered(desktop)
    [turn] = turns(desktop)
    assert (turn.status, turn.answer) == ("done", FIRST["answer"])
    assert "".join(pieces).strip() == FIRST["answer"]
    shown = desktop.chat.transcript.view(turn.id).answer.toPlainText()
    assert shown == FIRST["answer"]
    assert desktop.chat.composer.edit.question() == ""
    marks = page.bar._frames_s
    assert len(marks) == turn.result["usage"].get("frames", len(marks)) > 0
    assert all(recording.span().start_s <= at <= recording.span().end_s for at in marks)
    assert desktop.rows() == []  # the history knows nothing of it


def test_what_was_asked_about_becomes_a_clip_with_its_conversation(
    desktop: Desktop, page, recording, home
) -> None:
    assert not page.keep_asked.isEnabled()
    desktop.type(FIRST["question"])
    answered(desktop)
    page.keep_asked.trigger()
    desktop.until(lambda: desktop.clip() is not None)
    clip = desktop.clip()
    assert clip.is_relative_to(home)
    assert clip.name.startswith("live-")
    assert [turn.answer for turn in desktop.turns] == [FIRST["answer"]]
    assert desktop.turns[0].clip.path == clip
    assert recording.closed == 1  # the page was left
    assert desktop.ask(SECOND["question"]) == SECOND["answer"]
    desktop.until(lambda: len(desktop.rows()) == 1)


def test_a_chosen_stretch_is_kept_and_the_recording_goes_on(
    desktop: Desktop, page, recording, home
) -> None:
    page.keep_chosen.trigger()
    desktop.until(lambda: any("Kept as" in text for text in desktop.views.notices.texts()))
    [kept] = desktop.window.live.folder.glob("*.mp4")
    assert kept.is_relative_to(home)
    assert desktop.window.live.recording.on


def test_a_question_during_an_answer_waits(desktop: Desktop, page, recording) -> None:
    desktop.type(FIRST["question"])
    desktop.until(lambda: desktop.window.live.talk.writing)
    desktop.type(SECOND["question"])
    answered(desktop, 2)
    assert [turn.status for turn in turns(desktop)] == ["done", "done"]
    assert [turn.answer for turn in turns(desktop)] == [FIRST["answer"], SECOND["answer"]]
    assert desktop.chat._queue.isHidden()


def test_the_conversation_about_the_clip_comes_back(desktop: Desktop, page, recording) -> None:
    desktop.type(FIRST["question"])
    answered(desktop)
    assert page.keep_asked.isEnabled()
    desktop.window.commands.talk_page.trigger()
    assert desktop.chat._conversation is desktop.window.talk.conversation
    assert not page.keep_asked.isEnabled()  # nothing of the recording stays in memory
    desktop.window.commands.live_page.trigger()
    assert desktop.chat.transcript.view(turns(desktop)[0].id) is not None
    desktop.window.commands.new_conversation.trigger()
    assert turns(desktop) == []
    assert desktop.views.live.isVisible()
    desktop.type("What now?")
    desktop.until(lambda: "press Start" in desktop.error())


def test_a_moment_is_told_and_kept_and_the_recording_outlives_the_page(
    desktop: Desktop, page, recording, home
) -> None:
    live = desktop.window.live
    live.watch._link.ask = answers = Answers(live, ["No.", "Yes, it does."])
    page.wait.line.setText("Does the background flash?")
    page.wait.button.click()
    assert live.watch.question == "Does the background flash?"
    desktop.window.commands.models_page.trigger()
    assert live.recording.on
    assert "waiting for: Does" in desktop.views.status._live.text()
    assert "Does the background flash?" in desktop.views.status._live.toolTip()
    desktop.until(lambda: live.watch.counts[1] == 1)
    live.watch._watch._asked_s = -np.inf  # as if the longest rest had passed
    live.watch._watch._looked_s = -np.inf
    desktop.until(lambda: page.moments.count() == 1)
    assert answers.asked == ["Does the background flash?"] * 2
    item = page.moments.item(0)
    assert "Does the background flash?  Yes, it does." in item.text()
    assert not item.icon().isNull()
    path = page.moments.path(0)
    assert path.is_relative_to(home)
    assert any("Yes, it does." in text for text in desktop.views.notices.texts())
    live.watch.end()
    desktop.until(lambda: recording.closed == 1)
    page.moments.openRequested.emit(path)
    desktop.until(lambda: desktop.clip() == path)


class Answers:
    """Stands in the link's place for `ask`: the given answers, one after another."""

    def __init__(self, live, answers: list[str]) -> None:
        self._live, self._answers = live, answers
        self.asked: list[str] = []

    def __call__(self, messages, options, clip) -> int:
        number = -1000 - len(self.asked)
        self.asked.append(messages[0]["content"][-1]["text"])
        answer = self._answers[len(self.asked) - 1]
        link = self._live.watch._link
        QTimer.singleShot(0, lambda: link.finished.emit(number, {"answer": answer}))
        return number


def test_what_is_wrong_with_a_device_is_one_line_until_it_is_back(
    desktop: Desktop, page, recording
) -> None:
    recording.camera_state = DeviceState("Desk camera", "waiting", "It gives no picture.")
    desktop.until(lambda: page._told.text() == "It gives no picture.")
    assert page._told.isVisible()
    recording.camera_state = DeviceState("Desk camera", "on", openings=2)
    desktop.until(lambda: page._told.text() == "Desk camera is back.")


def test_a_device_that_comes_is_offered_and_said(desktop: Desktop, page) -> None:
    desktop.window.live.find = lambda anew: Devices((), DEVICES.microphones)
    page.devices.refresh.click()
    desktop.until(lambda: page._told.text() == "No longer there: Desk camera.")
    assert page.devices.wanted_camera() is None
    desktop.window.live.find = lambda anew: DEVICES
    page.devices.refresh.click()
    desktop.until(lambda: page._told.text() == "Connected: Desk camera.")
    assert page.devices.wanted_camera() == "0"


def test_a_camera_that_does_not_exist_is_said(desktop: Desktop, page) -> None:
    desktop.window.live.recording.make = make_recorder
    page.devices.camera.setEditText("no such camera")
    page.devices.choose_microphone(None)
    page.start_button.click()
    desktop.until(lambda: "no such camera" in page._told.text())
    assert not page.on
    assert page.devices.camera.isEnabled()


def test_the_level_has_a_word(desktop: Desktop, page, recording) -> None:
    said = []
    for level_db in (-80.0, -20.0, -1.0):
        recording.level_db = level_db
        desktop.until(lambda now=level_db: page.meter._bar._level_db == now)
        said.append(page.meter.accessibleDescription())
    assert said == ["silent", "heard", "too loud"]


def test_everything_has_a_name(page) -> None:
    for widget in page.findChildren(QWidget):
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisibleTo(page):
            assert widget.accessibleName() or getattr(widget, "text", str)(), widget


def test_a_real_camera_is_shown_mirrored_and_lost_in_one_line(qtbot) -> None:
    pytest.importorskip("cv2", reason="the extra `live` is not installed")
    half = np.zeros((48, 64, 3), np.uint8)
    half[:, 32:] = 255  # bright at the right, in a mirror at the left
    tasks = BackgroundTasks()
    recording = LiveRecording(tasks)
    recording.box, recording.mirrored = QSize(128, 96), True
    images, statuses = [], []
    recording.pictured.connect(images.append)
    recording.polled.connect(statuses.append)
    with PictureServer(jpeg(half)) as server:
        recording.start(server.url, None, CameraWish())
        qtbot.waitUntil(lambda: len(images) >= 2, timeout=PATIENCE_MS)
        assert images[0].size() == QSize(128, 96)
        assert images[0].pixelColor(20, 48).red() > 200 > 50 > images[0].pixelColor(108, 48).red()
        assert statuses[-1].camera.kind == "on"
        assert "64 × 48" in facts(statuses[-1])
    qtbot.waitUntil(lambda: statuses[-1].camera.kind == "waiting", timeout=PATIENCE_MS)
    assert server.url in statuses[-1].camera.sentence
    recording.close()
    tasks.close()


# The bar alone.


@pytest.fixture
def bar(qtbot):
    bar = LiveBar()
    bar.chosen_list = []
    bar.chosen.connect(bar.chosen_list.append)
    qtbot.addWidget(bar)
    bar.resize(600, 100)
    bar.set_status(status(1000.0))
    bar.show()
    return bar


def status(now_s: float, camera: str | None = "on"):
    state = None if camera is None else DeviceState("a", camera)
    return SimpleNamespace(
        now_s=now_s,
        camera=state,
        microphone=state,
        pictures_from_s=1000.0,
        sound_from_s=1000.0,
        level_db=-20.0,
    )


def test_a_drag_chooses_a_stretch_that_rolls_along_until_it_is_gone(qtbot, bar) -> None:
    scale, y = bar.scale(), round(bar.lanes().picture.center().y())
    begin, end = QPoint(round(scale.x(960.0)), y), QPoint(round(scale.x(980.0)), y)
    qtbot.mousePress(bar, Qt.MouseButton.LeftButton, pos=begin)
    qtbot.mouseMove(bar, end)
    qtbot.mouseRelease(bar, Qt.MouseButton.LeftButton, pos=end)
    [span] = bar.chosen_list
    assert (span.start_s, span.end_s) == pytest.approx((960.0, 980.0), abs=0.2)
    bar.set_status(status(1010.0))
    assert bar.choice == span
    bar.set_status(status(1030.0))  # its beginning is no longer kept
    assert bar.choice == 15.0
    assert bar.chosen_list[-1] == 15.0


def test_the_bar_is_used_by_keys_alone(qtbot, bar) -> None:
    qtbot.keyClick(bar, Qt.Key.Key_Up)
    assert bar.choice == 16.0
    assert bar.accessibleDescription() == "the last 16 s"
    qtbot.keyClick(bar, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert bar.choice == Span(979.0, 995.0)
    assert bar.accessibleDescription() == "a stretch of 16 s"
    qtbot.keyClick(bar, Qt.Key.Key_Down)
    assert bar.choice == Span(979.0, 994.0)
    qtbot.keyClick(bar, Qt.Key.Key_Escape)
    assert bar.choice == 16.0
    bar.setValue(30)  # as a screen reader does
    assert bar.choice == 30.0


def test_a_lost_device_leaves_a_gap(bar) -> None:
    for at_s in np.arange(1000.0, 1010.0, 0.5):
        bar.set_status(status(at_s))
    bar.set_status(status(1010.0, "waiting"))
    bar.set_status(status(1012.0))
    bar.set_status(status(1015.0))
    assert bar._alive["picture"] == [[1000.0, 1009.5], [1012.0, 1015.0]]
    image = bar.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    assert image.width() == 600


def test_a_typed_camera_stays_when_devices_come(qtbot) -> None:
    devices = LiveDevices()
    qtbot.addWidget(devices)
    devices.set_devices(DEVICES)
    devices.camera.setEditText("rtsp://camera.example/a")
    devices.set_devices(Devices((), ()))
    assert devices.wanted_camera() == "rtsp://camera.example/a"
    assert devices.wanted_microphone() == "default"


def test_a_question_can_interrupt_the_answer_before_it(qtbot) -> None:
    link = Link()
    talk = live_talk(link)
    talk.when_busy = "interrupt"
    ended = []
    talk.ended.connect(lambda _, status, result: ended.append(status))
    talk.ask("First?")
    talk.ask("Second?")
    assert [question for question, _ in link.asked] == ["First?"]
    assert link.stops == [1]
    link.stopped.emit(1)
    assert [question for question, _ in link.asked] == ["First?", "Second?"]
    link.piece.emit(2, "Yes.")
    link.finished.emit(2, {"answer": "Yes."})
    assert ended == ["stopped", "done"]
    assert [turn.answer for turn in talk.conversation.turns] == ["", "Yes."]


def test_waiting_questions_keep_the_stretch_of_when_they_were_asked(qtbot) -> None:
    link = Link()
    talk = live_talk(link)
    waiting = []
    talk.queued.connect(waiting.append)
    for question in ("First?", "Second?", "Third?"):
        talk.ask(question)
    assert waiting == [["Second?"], ["Second?", "Third?"]]
    link.finished.emit(1, {"answer": "1"})
    link.failed.emit(2, "It cannot be told.")
    link.died.emit("The engine died.", True)
    assert [clip for _, clip in link.asked] == ["at 1", "at 2", "at 3"]
    statuses = [turn.status for turn in talk.conversation.turns]
    assert statuses == ["done", "failed", "failed"]
    assert waiting[-1] == []


def test_an_older_stretch_is_asked_about_again_until_it_is_dropped(qtbot) -> None:
    link = Link()
    talk = live_talk(link)
    refused = []
    talk.refused.connect(refused.append)
    for number in range(1, 6):
        talk.ask(f"Question {number}?")
        link.finished.emit(number, {"answer": str(number)})
    first, second = talk.conversation.turns[:2]
    talk.regenerate(first.id)
    assert len(refused) == 1
    assert len(talk.conversation.turns) == 5
    talk.edit(second.id, "Another?")
    assert link.asked[-1] == ("Another?", "at 2")
    assert len(talk.conversation.turns) == 2
    talk.leave()
    assert talk.conversation.turns[-1].status == "stopped"


class Link(QObject):
    """The engine's link, whose replies the test gives."""

    progress = Signal(int, str, int, int)
    piece = Signal(int, str)
    finished = Signal(int, object)
    failed = Signal(int, str)
    stopped = Signal(int)
    died = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self.stops: list[int | None] = []

    def ask(self, messages, options, clip) -> int:
        self.asked.append((messages[0]["content"][-1]["text"], clip.name))
        return len(self.asked)

    def stop(self, job) -> None:
        self.stops.append(job)


def live_talk(link: Link) -> LiveTalk:
    """Live questions about a recording that gives another stretch each time."""
    count = iter(range(1, 100))

    def clip(span, num_frames, done, failed) -> None:
        number = next(count)
        sound = np.zeros(10, np.float32)
        taken = LiveClip(f"at {number}", 5.0, (), (), (), sound, 48000, (0.0, 5.0), ("a", number))
        done((Span(number, number + 5.0), taken))

    recording = SimpleNamespace(on=True, recorder=object(), clip=clip)
    talk = LiveTalk(link, recording, lambda: 5.0, AskOptions)
    link.talk = talk  # its owner
    return talk
