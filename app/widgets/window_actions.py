"""The window's own commands, each a QAction with its keys, and the menus they stand in.

The player, the conversation and the history bring their own commands, which are only put into
menus here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from app.widgets import theme
from app.widgets.palette import put_under

translate = QCoreApplication.translate

Keys = QKeySequence.StandardKey | str | None


@dataclass(frozen=True)
class WindowActions:
    """Every command of the window itself."""

    open_file: QAction
    open_folder: QAction
    paste: QAction
    demo: QAction
    close_clip: QAction
    quit: QAction
    new_conversation: QAction
    find_clip: QAction
    export_markdown: QAction
    export_json: QAction
    focus_question: QAction
    focus_player: QAction
    search_history: QAction
    history: QAction
    talk_page: QAction
    live_page: QAction
    models_page: QAction
    settings_page: QAction
    full_screen: QAction
    palette: QAction
    shortcuts: QAction
    leave_safe_mode: QAction
    report: QAction
    about: QAction

    def all(self) -> list[QAction]:
        """The commands, in order."""
        return [getattr(self, name) for name in self.__dataclass_fields__]


def make_actions(window: QMainWindow) -> WindowActions:
    """Make the commands; who makes the window connects them."""

    def action(text: str, icon: str | None, keys: Keys = None, heading: str = "") -> QAction:
        made = QAction(text, window)
        if icon is not None:
            made.setIcon(theme.icon(icon))
        if keys is not None:
            made.setShortcut(QKeySequence(keys))
        put_under(heading, [made])
        window.addAction(made)
        return made

    standard = QKeySequence.StandardKey
    clip, conversation = (
        translate("WindowActions", "Clip"),
        translate("WindowActions", "Conversation"),
    )
    view, program = translate("WindowActions", "View"), translate("WindowActions", "Help")
    actions = WindowActions(
        open_file=action(translate("WindowActions", "&Open…"), "open", standard.Open, clip),
        open_folder=action(
            translate("WindowActions", "Open &folder of frames…"), "folder", "Ctrl+Shift+O", clip
        ),
        paste=action(
            translate("WindowActions", "&Paste file or path"), "import", standard.Paste, clip
        ),
        demo=action(translate("WindowActions", "Try the &demo clip"), "film", None, clip),
        close_clip=action(translate("WindowActions", "&Close clip"), "close", standard.Close, clip),
        quit=action(translate("WindowActions", "&Quit"), None, standard.Quit, program),
        new_conversation=action(
            translate("WindowActions", "&New conversation"), "plus", standard.New, conversation
        ),
        find_clip=action(
            translate("WindowActions", "&Find the clip that is gone…"), "search", None, conversation
        ),
        export_markdown=action(
            translate("WindowActions", "Export as &Markdown…"),
            "export",
            standard.Save,
            conversation,
        ),
        export_json=action(
            translate("WindowActions", "Export as &JSON…"), "export", None, conversation
        ),
        focus_question=action(
            translate("WindowActions", "Go to the &question"), "chat", "Ctrl+L", view
        ),
        focus_player=action(
            translate("WindowActions", "Go to the &player"), "film", "Ctrl+P", view
        ),
        search_history=action(
            translate("WindowActions", "&Search the history"), "search", standard.Find, view
        ),
        history=action(translate("WindowActions", "&History"), "sidebar", "Ctrl+H", view),
        talk_page=action(translate("WindowActions", "&Conversation page"), "chat", "Ctrl+1", view),
        live_page=action(
            translate("WindowActions", "&Live: camera and microphone"), "camera", "Ctrl+3", view
        ),
        models_page=action(translate("WindowActions", "&Models"), "models", "Ctrl+2", view),
        settings_page=action(translate("WindowActions", "S&ettings"), "settings", "Ctrl+,", view),
        full_screen=action(
            translate("WindowActions", "F&ull screen"), "fullscreen", standard.FullScreen, view
        ),
        palette=action(
            translate("WindowActions", "&All commands…"), "command", "Ctrl+Shift+P", program
        ),
        shortcuts=action(
            translate("WindowActions", "&Keyboard shortcuts"),
            "keyboard",
            standard.HelpContents,
            program,
        ),
        leave_safe_mode=action(
            translate("WindowActions", "&Leave safe mode"), "settings", None, program
        ),
        report=action(
            translate("WindowActions", "Save a &report for the maintainers…"),
            "export",
            None,
            program,
        ),
        about=action(translate("WindowActions", "&About VL2 Desktop"), "info", None, program),
    )
    actions.quit.setMenuRole(QAction.MenuRole.QuitRole)
    actions.settings_page.setMenuRole(QAction.MenuRole.PreferencesRole)
    actions.about.setMenuRole(QAction.MenuRole.AboutRole)
    actions.history.setCheckable(True)
    actions.full_screen.setCheckable(True)
    pages = QActionGroup(window)
    for page in (
        actions.talk_page,
        actions.live_page,
        actions.models_page,
        actions.settings_page,
    ):
        page.setCheckable(True)
        pages.addAction(page)
    actions.talk_page.setChecked(True)
    actions.find_clip.setEnabled(False)
    actions.leave_safe_mode.setVisible(False)
    actions.leave_safe_mode.setEnabled(False)
    return actions


def make_menus(
    window: QMainWindow,
    actions: WindowActions,
    player: Iterable[QAction],
    chat: Iterable[QAction],
    live: Iterable[QAction],
    fill_recent: Callable[[QMenu], None],
) -> None:
    """Put every command into the menu bar.

    Args:
        window: whose menu bar.
        actions: the window's own.
        player: the player's.
        chat: the conversation's.
        live: the live page's.
        fill_recent: fills the menu of recent clips; called whenever it is shown.
    """
    bar = window.menuBar()
    clip = bar.addMenu(translate("WindowActions", "&Clip"))
    clip.addActions([actions.open_file, actions.open_folder])
    recent = clip.addMenu(theme.icon("history"), translate("WindowActions", "Open &recent"))
    recent.aboutToShow.connect(lambda: fill_recent(recent))
    clip.addActions([actions.paste, actions.demo])
    clip.addSeparator()
    clip.addActions([actions.close_clip, actions.quit])
    bar.addMenu(translate("WindowActions", "&Playback")).addActions(list(player))
    talk = bar.addMenu(translate("WindowActions", "C&onversation"))
    talk.addAction(actions.new_conversation)
    talk.addActions(list(chat))
    talk.addSeparator()
    talk.addActions([actions.find_clip, actions.export_markdown, actions.export_json])
    bar.addMenu(translate("WindowActions", "&Live")).addActions([actions.live_page, *live])
    view = bar.addMenu(translate("WindowActions", "&View"))
    view.addActions([actions.talk_page, actions.live_page])
    view.addActions([actions.models_page, actions.settings_page])
    view.addSeparator()
    view.addActions([actions.history, actions.search_history])
    view.addActions([actions.focus_player, actions.focus_question])
    view.addSeparator()
    view.addAction(actions.full_screen)
    helping = bar.addMenu(translate("WindowActions", "&Help"))
    helping.addActions([actions.palette, actions.shortcuts])
    helping.addActions([actions.leave_safe_mode, actions.report, actions.about])
