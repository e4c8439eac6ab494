"""All that the window does about models: loading one, the models page, status, notices."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.inference import EngineSpec
from app.settings import Settings
from app.widgets.bundle_work import BundleWork
from app.widgets.clip_work import ClipWork
from app.widgets.engine_link import EngineLink
from app.widgets.settings_store import SettingsStore
from app.widgets.talk import Talk
from app.widgets.window_layout import WindowLayout
from app.widgets.wording import demo_text
from assets import demo_bundle, demo_clips

_ENGINE_SETTINGS = ("bundle", "device", "exact", "threads")


class ModelDesk(QObject):
    """Keeps the engine's model what the settings say, and the views what the engine says."""

    loaded = Signal()

    def __init__(
        self,
        link: EngineLink,
        store: SettingsStore,
        work: BundleWork,
        talk: Talk,
        clip_work: ClipWork,
        views: WindowLayout,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            link: the engine; also the owner of this object.
            store: the settings.
            work: looks at bundles.
            talk: the conversation, which a change of model stops.
            clip_work: the clip, which another model encodes anew.
            views: the window's views.
        """
        super().__init__(link)
        self.info: Mapping[str, Any] = {}
        self.safe = False  # on the CPU, without what was kept to be quicker
        self._link, self._store, self._work = link, store, work
        self._talk, self._clip_work, self._views = talk, clip_work, views
        self._world = ""  # what was said of the model's limits
        self._warned: object = self  # the clip beside which it was said
        link.loaded.connect(self._loaded)
        link.loadFailed.connect(self._not_loaded)
        link.progress.connect(self._loading)
        link.died.connect(self._died)
        store.changed.connect(self._settings_changed)
        page = views.models
        page.useRequested.connect(self.use)
        page.importRequested.connect(work.add)
        page.importCancelled.connect(work.cancel)
        page.removeRequested.connect(self._remove)
        page.bundlesChanged.connect(work.refresh)
        work.surveyed.connect(
            lambda found: page.set_bundles(found.bundles, found.memory, self._path())
        )
        work.importing.connect(page.set_import_progress)
        work.imported.connect(page.end_import)
        work.failed.connect(lambda sentence: views.notices.say(sentence, "error"))

    def load(self) -> None:
        """Load the model that the settings name."""
        settings = self._store.now
        bundle = Path(settings.bundle) if settings.bundle else None
        self._views.status.set_model(self.tr("opening the model …"))
        spec = EngineSpec(bundle, settings.device, settings.exact, settings.threads)
        spec = replace(spec, prepacked_gb=settings.prepacked_gb)
        if self.safe:
            spec = replace(spec, device="cpu", keep_encodings=False, prepacked_gb=0)
        self._link.load(spec)

    def reload(self) -> None:
        """Load it again, because something else than the settings has changed."""
        self._change()

    def use(self, path: Path) -> None:
        """Answer with another bundle from now on."""
        if path == self._path() and self.info:
            return
        name = "" if path == demo_bundle() else str(path)
        if name == self._store.now.bundle:
            self._change()
        self._store.change(replace(self._store.now, bundle=name))

    def warn_of_small_world(self) -> None:
        """Say what the model says of its own limits; aloud where the clip is a stranger's."""
        world = self.info.get("card", {}).get("world", "")
        if world and self._path() == demo_bundle():
            world = demo_text()
        clip, notices = self._clip_work.clip, self._views.notices
        foreign = clip is not None and not clip.path.is_relative_to(demo_clips())
        said, self._world = self._world, f"{self.info['name']}: {world}" if world else ""
        if said != self._world:
            notices.withdraw(said)
        if not world or (said == self._world and not foreign) or clip == self._warned:
            return
        self._warned = clip
        show = self.tr("Show models"), self._views.show_models
        notices.say(self._world, "warning" if foreign else "info", show if foreign else None)

    def _path(self) -> Path:
        return Path(self._store.now.bundle) if self._store.now.bundle else demo_bundle()

    def _settings_changed(self, before: Settings, now: Settings) -> None:
        if any(getattr(before, name) != getattr(now, name) for name in _ENGINE_SETTINGS):
            self._change()
        self._work.settings = now
        if before.bundle_folders != now.bundle_folders:
            self._work.refresh()

    def _change(self) -> None:
        self._talk.leave()
        self._clip_work.forget()
        self.load()
        self._clip_work.prepare()
        self._work.refresh()

    def _remove(self, path: Path) -> None:
        if path == self._path():
            self.use(demo_bundle())
        self._work.remove(path)

    def _loading(self, job: int, stage: str, done: int, total: int) -> None:
        if job == 0 and not self._clip_work.encoding_now:
            fraction = done / total if total else None
            self._views.status.set_doing(self.tr("Opening the model"), fraction)

    def _loaded(self, info: Mapping[str, Any]) -> None:
        self.info = info
        views = self._views
        self._talk.bundle = info["bundle"]
        views.status.show_info(info)
        if not self._clip_work.encoding_now:
            views.status.set_doing(None)
        views.chat.set_model(info["num_frames"], info["window_s"] is not None, info["max_frames"])
        self.warn_of_small_world()
        self.loaded.emit()

    def _not_loaded(self, sentence: str) -> None:
        self.info = {}
        self._views.status.set_model(self.tr("no model"))
        self._views.status.set_doing(None)
        demo = self.tr("Use the demo model"), lambda: self.use(demo_bundle())
        self._views.notices.say(sentence, "error", demo if self._store.now.bundle else None)

    def _died(self, sentence: str, restarting: bool) -> None:
        if not restarting:
            again = self.tr("Start it again"), self._link.restart
            self._views.status.set_model(self.tr("no model"))
            self._views.notices.say(sentence, "error", again)
