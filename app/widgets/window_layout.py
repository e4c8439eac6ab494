"""Where the window's views stand, in a wide window and in a narrow one, and how that is kept."""

import json
from dataclasses import replace

from PySide6.QtCore import QByteArray, QCoreApplication, QSize, Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import (
    QMainWindow,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from app.settings import Settings
from app.widgets.chat import ChatPane
from app.widgets.history_panel import HistoryPanel
from app.widgets.live_page import LivePage
from app.widgets.models_page import ModelsPage
from app.widgets.notice_bar import NoticeBar
from app.widgets.player import PlayerPane
from app.widgets.settings_page import SettingsPage
from app.widgets.status_line import StatusLine
from app.widgets.window_actions import WindowActions

# Below this the player stands above the conversation, and the history only comes when asked for.
NARROW = 940
SIZE, SMALLEST = QSize(1360, 840), QSize(400, 480)
HISTORY, PLAYER, CHAT = 250, 640, 470


class WindowLayout:
    """The views of a window, made and put in their places."""

    def __init__(self, window: QMainWindow, commands: WindowActions) -> None:
        """Fill a window.

        Args:
            window: owns everything.
            commands: those that choose a page or show the history.
        """
        self._window, self._commands = window, commands
        self._narrow = False
        self._history_wanted = True
        self.notices = NoticeBar(window)
        self.status = StatusLine(window)
        self.history = HistoryPanel(window)
        self.player = PlayerPane(window)
        self.live = LivePage(window)
        self.chat = ChatPane(window)
        self.models = ModelsPage(window)
        self.settings = SettingsPage(window)
        self._work = QSplitter(Qt.Orientation.Horizontal)
        self._scene = QStackedWidget()  # what the conversation is about
        self._scene.addWidget(self.player)
        self._scene.addWidget(self.live)
        self._work.addWidget(self._scene)
        self._work.addWidget(self.chat)
        self._talk = QSplitter(Qt.Orientation.Horizontal)
        self._talk.addWidget(self.history)
        self._talk.addWidget(self._work)
        for splitter in (self._work, self._talk):
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(1)
        self._talk.setStretchFactor(1, 1)
        self._work.setStretchFactor(0, 3)
        self._work.setStretchFactor(1, 2)
        self.history.setMinimumWidth(190)
        self.pages = QStackedWidget(window)
        for page in (self._talk, self.models, self.settings):
            self.pages.addWidget(page)
        middle = QWidget(window)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.notices)
        column.addWidget(self.pages, 1)
        window.setCentralWidget(middle)
        window.setMinimumSize(SMALLEST)
        window.setStatusBar(self.status)
        self._make_rail()
        self._connect()

    def _make_rail(self) -> None:
        rail = QToolBar(QCoreApplication.translate("WindowLayout", "Pages"), self._window)
        rail.setObjectName("rail")
        rail.setMovable(False)
        rail.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        rail.setIconSize(QSize(22, 22))
        rail.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        commands = self._commands
        rail.addActions([commands.history, commands.talk_page, commands.live_page])
        rail.addAction(commands.models_page)
        space = QWidget(rail)
        space.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        rail.addWidget(space)
        rail.addActions([commands.palette, commands.settings_page])
        self._window.addToolBar(Qt.ToolBarArea.LeftToolBarArea, rail)
        for action in rail.actions():
            button = rail.widgetForAction(action)
            if button is not None and action.text():
                button.setAccessibleName(action.text().replace("&", ""))
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def _connect(self) -> None:
        pages: dict[QAction, QWidget] = {
            self._commands.talk_page: self._talk,
            self._commands.live_page: self._talk,
            self._commands.models_page: self.models,
            self._commands.settings_page: self.settings,
        }
        for action, page in pages.items():
            action.triggered.connect(lambda _=False, page=page: self.pages.setCurrentWidget(page))
        self._commands.history.triggered.connect(self._want_history)
        scenes = {self._commands.talk_page: self.player, self._commands.live_page: self.live}
        for action, scene in scenes.items():
            action.triggered.connect(
                lambda _=False, scene=scene: self._scene.setCurrentWidget(scene)
            )
        self.pages.currentChanged.connect(lambda _: self._check_history())
        self.history.opened.connect(self._make_room)

    def fit(self, width: int) -> None:
        """Arrange for a window of this width."""
        narrow = width < NARROW
        if narrow == self._narrow:
            return
        self._narrow = narrow
        self.status.set_narrow(narrow)
        orientation = Qt.Orientation.Vertical if narrow else Qt.Orientation.Horizontal
        self._work.setOrientation(orientation)
        self._work.setSizes([470, 330] if narrow else [PLAYER, CHAT])
        self._show_history(self._history_wanted and not narrow)

    def focus_question(self) -> None:
        """Put the keyboard where questions are written."""
        self._show_conversation()
        self._make_room()
        self.chat.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def focus_player(self) -> None:
        """Put the keyboard into the player, where its keys are heard."""
        self._commands.talk_page.trigger()
        self._make_room()
        self.player.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def show_talk(self) -> None:
        """Show clip and conversation."""
        self._commands.talk_page.trigger()

    def show_models(self) -> None:
        """Show the models page."""
        self._commands.models_page.trigger()

    def search_history(self) -> None:
        """Put the keyboard into the history's search line."""
        self._show_conversation()
        self._show_history(True)
        self.history.focus_search()

    def restore(self, settings: Settings) -> None:
        """Give the window the size and place it had, or good ones."""
        geometry = QByteArray.fromBase64(settings.window_geometry.encode())
        if geometry.isEmpty() or not self._window.restoreGeometry(geometry):
            screen = QGuiApplication.primaryScreen()
            room = screen.availableSize() if screen is not None else SIZE
            self._window.resize(SIZE.boundedTo(room))
        layout = _read_layout(settings.window_layout)
        self._history_wanted = layout.get("history") is not False
        self.fit(self._window.width())
        if not self._narrow:
            self._talk.setSizes(_sizes(layout.get("talk"), [HISTORY, PLAYER + CHAT]))
            self._work.setSizes(_sizes(layout.get("work"), [PLAYER, CHAT]))
        self._show_history(self._history_wanted and not self._narrow)

    def remember(self, settings: Settings) -> Settings:
        """The settings with the window's size, place and parts."""
        layout = _read_layout(settings.window_layout)
        layout["history"] = self._history_wanted
        if not self._narrow and self.pages.currentWidget() is self._talk:
            if not self.history.isHidden():
                layout["talk"] = self._talk.sizes()
            layout["work"] = self._work.sizes()
        geometry = bytes(self._window.saveGeometry().toBase64().data()).decode()
        return replace(settings, window_geometry=geometry, window_layout=json.dumps(layout))

    def _show_conversation(self) -> None:
        """Show the conversation's page, about a clip or live."""
        if not self._commands.live_page.isChecked():
            self._commands.talk_page.trigger()

    def _want_history(self, on: bool) -> None:
        self._show_conversation()
        self._history_wanted = on
        self._show_history(on)

    def _show_history(self, on: bool) -> None:
        self.history.setVisible(on)
        # Where there is no room for both, the history takes the place of the rest.
        self._work.setVisible(not (on and self._narrow))
        self._check_history()

    def _check_history(self) -> None:
        shown = self.pages.currentWidget() is self._talk and not self.history.isHidden()
        self._commands.history.setChecked(shown)

    def _make_room(self) -> None:
        """A conversation was chosen: in a narrow window it takes the history's place."""
        if self._narrow:
            self._show_history(False)


def _read_layout(text: str) -> dict[str, object]:
    try:
        layout = json.loads(text)
    except ValueError:
        return {}
    return layout if isinstance(layout, dict) else {}


def _sizes(value: object, default: list[int]) -> list[int]:
    good = isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value)
    return value if good and isinstance(value, list) else default
