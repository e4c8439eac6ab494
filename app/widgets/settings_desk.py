"""All that the window does about settings: what changes one, and what a change changes."""

from dataclasses import replace

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication

from app.settings import Settings, generate_options
from app.widgets import theme
from app.widgets.ask_options import AskOptions
from app.widgets.clip_work import ClipWork
from app.widgets.settings_store import SettingsStore
from app.widgets.talk import Talk
from app.widgets.window_actions import WindowActions
from app.widgets.window_layout import WindowLayout

# Of a question, beside how the answer is drawn.
_OF_A_QUESTION = ("sound", "num_frames", "audio_window", "announce_answers")


class SettingsDesk(QObject):
    """Connects the settings with the page, the question's options and the player's loudness."""

    def __init__(
        self,
        store: SettingsStore,
        talk: Talk,
        clip_work: ClipWork,
        views: WindowLayout,
        commands: WindowActions,
    ) -> None:
        """Connect them, and use the settings.

        Args:
            store: the settings; also the owner of this object.
            talk: asks with the options.
            clip_work: takes the sound in as the settings say.
            views: the window's views.
            commands: the window's commands.
        """
        super().__init__(store)
        self._store, self._talk, self._work, self._views = store, talk, clip_work, views
        controls = views.player.controls
        self._use(store.now)
        controls.set_volume(store.now.volume)
        controls.actions["mute"].setChecked(store.now.muted)
        controls.volumeChanged.connect(self._volume_changed)
        commands.settings_page.triggered.connect(lambda: views.settings.set_settings(store.now))
        views.settings.changed.connect(store.change)
        views.chat.optionsChanged.connect(self._options_changed)
        talk.optionsChanged.connect(views.chat.set_options)
        store.changed.connect(self._changed)
        store.failed.connect(lambda sentence: views.notices.say(sentence, "error"))

    def _changed(self, before: Settings, now: Settings) -> None:
        self._talk.settings = now
        if self._views.settings.isVisible():
            self._views.settings.set_settings(now)
        if before.theme != now.theme:
            app = QApplication.instance()
            if isinstance(app, QApplication):
                theme.apply(app, now.theme)
        if before.language != now.language:
            later = self.tr("The language changes when the program is started again.")
            self._views.notices.say(later)
        if generate_options(before) != generate_options(now) or any(
            getattr(before, name) != getattr(now, name) for name in _OF_A_QUESTION
        ):
            self._use(now)

    def _use(self, settings: Settings) -> None:
        options = AskOptions(settings.sound, settings.num_frames, generate_options(settings))
        chat = self._views.chat
        chat.reads_answers = settings.announce_answers
        window_changed = self._work.audio_window != settings.audio_window
        self._work.audio_window = settings.audio_window
        if options != chat.options() or options != self._talk.options or window_changed:
            chat.set_options(options)
            self._talk.set_options(options)

    def _options_changed(self) -> None:
        """What was chosen for this question is what the next clips begin with."""
        options = self._views.chat.options()
        self._talk.set_options(options)
        now, generate = self._store.now, options.generate
        self._store.change(
            replace(
                now,
                sound=options.sound,
                num_frames=options.num_frames,
                temperature=generate.temperature or 0.0,
                top_p=now.top_p if generate.top_p is None else generate.top_p,
                top_k=generate.top_k,
                repetition_penalty=generate.repetition_penalty,
                seed=generate.seed,
                max_new_tokens=generate.max_new_tokens,
            )
        )

    def _volume_changed(self, volume: float) -> None:
        muted = self._views.player.controls.actions["mute"].isChecked()
        self._store.change(replace(self._store.now, volume=round(volume, 2), muted=muted))
