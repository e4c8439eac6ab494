"""All that the window does live: recording, questions about it, standing questions, kept clips.

Camera and microphone are open from Start until Stop or until the page is left; a standing question
keeps them open beyond that, and the status line says so.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from platformdirs import user_videos_path
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from app.capture.device_thread import DeviceState
from app.capture.recorder import LiveStatus, Recorder, Span
from app.conversation import Turn
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.chat_switch import ChatSwitch
from app.widgets.desktop_notice import DesktopNotice
from app.widgets.engine_link import EngineLink
from app.widgets.live_devices import Devices, find_devices
from app.widgets.live_recording import LiveRecording
from app.widgets.live_talk import LiveTalk
from app.widgets.live_watch import Kept, LiveWatch, keep_stretch
from app.widgets.talk import Talk
from app.widgets.window_actions import WindowActions
from app.widgets.window_layout import WindowLayout

# While the page is shown and nothing is recorded, it looks for devices so often.
LOOK_MS = 4_000
FOLDER = "VL2 Desktop"


class LiveDesk(QObject):
    """Connects the live page with the devices, the engine and the chat pane."""

    def __init__(
        self,
        link: EngineLink,
        tasks: BackgroundTasks,
        talk: Talk,
        views: WindowLayout,
        commands: WindowActions,
        open_clip: Callable[[Path], None],
    ) -> None:
        """Nothing is recorded.

        Args:
            link: the engine; also the owner.
            tasks: where devices are opened and clips written.
            talk: takes the conversation over when a stretch is kept as a clip.
            views: the window's views.
            commands: the window's commands.
            open_clip: opens a kept clip.
        """
        super().__init__(link)
        self._tasks, self._talk = tasks, talk
        self._views, self._commands, self._open_clip = views, commands, open_clip
        self.page = views.live
        self.folder = user_videos_path() / FOLDER
        self.find: Callable[[bool], Devices] = find_devices
        self.recording = LiveRecording(tasks, self)
        self.talk = LiveTalk(
            link, self.recording, lambda: self.page.bar.choice, views.chat.options, self
        )
        self.watch = LiveWatch(
            link,
            self.recording,
            tasks,
            self.folder,
            self._answering,
            lambda: self.page.bar.seconds,
            self,
        )
        self.switch = ChatSwitch(views.chat, talk, self.talk)
        self._notice = DesktopNotice(self)
        self._notice.clicked.connect(open_clip)
        self._devices: Devices | None = None
        self._states: dict[str, str] = {}
        self._looking = False
        self._look_again = QTimer(self)
        self._look_again.setInterval(LOOK_MS)
        self._look_again.timeout.connect(self._look)
        link.loaded.connect(self._loaded)
        commands.live_page.toggled.connect(self._turned)
        self._connect()

    @property
    def shown(self) -> bool:
        """Whether the chat pane belongs to the live page."""
        return self.switch.live

    def suggestions(self) -> list[str]:
        """Questions to begin with."""
        return [
            self.tr("What has just happened?"),
            self.tr("What do you see now?"),
            self.tr("What do you hear?"),
        ]

    def close(self) -> None:
        """The window closes."""
        self._look_again.stop()
        self.watch.end()
        self.talk.leave()
        self._notice.withdraw()
        self.recording.close()

    def _connect(self) -> None:
        page, recording = self.page, self.recording
        page.startRequested.connect(self._start)
        page.stopRequested.connect(self._stop)
        page.keepRequested.connect(self._keep)
        page.wait.requested.connect(self._wait_for)
        page.interruptChanged.connect(self._set_interrupt)
        page.devices.refreshRequested.connect(self._look)
        page.devices.mirrorChanged.connect(lambda on: setattr(recording, "mirrored", on))
        page.view.boxChanged.connect(lambda box: setattr(recording, "box", box))
        page.moments.openRequested.connect(self._open_clip)
        recording.changed.connect(self._recording_changed)
        recording.polled.connect(self._polled)
        recording.pictured.connect(page.set_picture)
        recording.refused.connect(lambda sentence: page.tell(sentence, "warning"))
        self.talk.covered.connect(page.bar.set_frames)
        self.talk.began.connect(lambda _: page.set_keepable(asked=True))
        self.talk.shown.connect(lambda _: page.set_keepable(self.talk.last_asked() is not None))
        self.watch.changed.connect(self._watch_changed)
        self.watch.happened.connect(self._happened)
        self.watch.problem.connect(lambda text: self._views.notices.say(text, "warning"))

    # The page.

    def _turned(self, on: bool) -> None:
        """The page was entered or left."""
        self.switch.show(on)
        if on:
            self._look()
            self._look_again.start()
            return
        self._look_again.stop()
        self.talk.leave()
        if not self.watch.question:
            self._forget()

    def _forget(self) -> None:
        """Nothing of what was recorded stays in memory."""
        self.recording.forget()
        self.talk.forget_stretches()
        self.page.set_keepable(asked=False)
        self.page.bar.clear()

    def _look(self) -> None:
        """Look for devices that came or went; PortAudio can only while it is not recording."""
        if self._looking:
            return
        self._looking = True
        find, anew = self.find, not self.recording.on and not self.recording.busy
        self._tasks.run(lambda: find(anew), self._found, self._not_found)

    def _found(self, devices: Devices) -> None:
        self._looking = False
        before, self._devices = self._devices, devices
        if devices == before:
            return
        if not self.recording.on and not self.recording.busy:
            self.page.set_devices(devices)
        else:
            self._devices = before  # Offered once it has stopped.
        if before is None:
            return
        came, went = devices.names() - before.names(), before.names() - devices.names()
        if came:
            words = self.tr("Connected: {names}.")
            self.page.tell(words.format(names=", ".join(sorted(came))))
        elif went:
            words = self.tr("No longer there: {names}.")
            self.page.tell(words.format(names=", ".join(sorted(went))))

    def _not_found(self, sentence: str) -> None:
        self._looking = False
        self.page.tell(sentence, "warning")

    # The recording.

    def _start(self) -> None:
        if not self._commands.live_page.isEnabled():
            return
        if not self._commands.live_page.isChecked():
            self._commands.live_page.trigger()
        devices = self.page.devices
        camera, microphone = devices.wanted_camera(), devices.wanted_microphone()
        if camera is None and microphone is None:
            self.page.tell(self.tr("Choose a camera or a microphone first."), "warning")
            return
        self.page.tell("")
        self._forget()
        self._states.clear()
        self.recording.mirrored = devices.mirror.isChecked()
        self.recording.box = self.page.view.box()
        self.recording.start(camera, microphone, devices.wish())

    def _stop(self) -> None:
        self.watch.end()
        self.recording.stop()

    def _recording_changed(self) -> None:
        on, busy = self.recording.on, self.recording.busy
        self.page.set_recording(on, busy)
        focus = QApplication.focusWidget()
        if on and self.shown and focus is not None and self.page.isAncestorOf(focus):
            self._views.focus_question()
        self._say_on()

    def _polled(self, status: LiveStatus) -> None:
        self.page.set_status(status)
        for state in (status.camera, status.microphone):
            self._tell_state(state)

    def _tell_state(self, state: DeviceState | None) -> None:
        """Say when a device has come on; what is wrong with one, the page shows by itself."""
        if state is None or self._states.get(state.name) == state.kind:
            return
        before, self._states[state.name] = self._states.get(state.name), state.kind
        if state.kind == "on" and before == "waiting":
            self.page.tell(self.tr("{name} is back.").format(name=state.name))

    def _say_on(self) -> None:
        text = tip = ""
        if self.recording.on:
            text = self.tr("recording")
            tip = self.tr("Camera or microphone is on.")
        if self.recording.on and self.watch.question:
            text = self.tr("recording, waiting for: {question}")
            text = text.format(question=self.watch.question)
            why = self.tr(
                "Camera and microphone stay on, on other pages too, for as long as there is"
                " something to wait for."
            )
            tip = f"{self.watch.question}\n{why}"
        self._views.status.set_live(text, tip)

    # Questions.

    def _answering(self) -> bool:
        return self.talk.writing is not None or self._talk.writing is not None

    def _set_interrupt(self, on: bool) -> None:
        self.talk.when_busy = "interrupt" if on else "wait"

    def _loaded(self, info: Mapping[str, Any]) -> None:
        self.talk.num_frames = self.watch.num_frames = info["num_frames"]

    # Clips.

    def _keep(self, what_was_asked: bool) -> None:
        span, recorder = self._chosen(what_was_asked)
        if span is None or recorder is None:
            return
        path = self.folder / f"live-{datetime.now():%Y-%m-%d-%H%M%S}.mp4"
        turns = self.talk.turns_about(span, path) if what_was_asked else []

        def kept(done: tuple[Path | None, str]) -> None:
            written, problem = done
            if written is None:
                self._views.notices.say(problem, "error")
            elif what_was_asked:
                self._reopen(written, turns)
            else:
                self._tell_kept(written)

        self._tasks.run(lambda: keep_stretch(path, recorder, span), kept)

    def _chosen(self, what_was_asked: bool) -> tuple[Span | None, Recorder | None]:
        asked, recorder = self.talk.last_asked(), self.recording.recorder
        if what_was_asked:
            return (asked.span, asked.recorder) if asked is not None else (None, None)
        choice = self.page.bar.choice
        if recorder is None or isinstance(choice, Span):
            return (choice if isinstance(choice, Span) else None), recorder
        return recorder.last(choice, self.talk.num_frames), recorder

    def _reopen(self, path: Path, turns: list[Turn]) -> None:
        """Go on about the kept clip, with what was already said about it."""
        self._views.show_talk()
        self._talk.open_kept(path, turns)
        self._views.notices.say(self.tr("Kept as {path}").format(path=path))

    def _tell_kept(self, path: Path) -> None:
        open_it = self.tr("Open it"), lambda: self._open_clip(path)
        self._views.notices.say(self.tr("Kept as {path}").format(path=path), "info", open_it)

    # Standing questions.

    def _wait_for(self, question: str) -> None:
        if question:
            self.watch.begin(question)
        else:
            self.watch.end()

    def _watch_changed(self) -> None:
        looks, asked = self.watch.counts
        self.page.wait.set_watch(self.watch.question, looks, asked)
        if not self.watch.question:
            self._notice.withdraw()
            if not self.shown:
                self._forget()
        self._say_on()

    def _happened(self, kept: Kept) -> None:
        self.page.moments.add(kept)
        text = f"{kept.question} {kept.answer}"
        path = kept.path
        open_it = None
        if path is not None:
            open_it = self.tr("Open the clip"), lambda: self._open_clip(path)
        self._views.notices.say(text, "info", open_it)
        if kept.problem:
            self._views.notices.say(kept.problem, "error")
        self._notice.tell(self.tr("It has happened"), text, path)
