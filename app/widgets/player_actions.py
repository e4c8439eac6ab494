"""The player's commands: a QAction each, with its keys, heard while the focus is in the player."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QWidget

from app.widgets import theme

translate = QCoreApplication.translate
_KEY = QKeySequence.StandardKey


@dataclass(frozen=True)
class Command:
    """A command: its name in the code, its words, its keys, its icon (also the code's)."""

    name: str
    words: str
    keys: tuple[str | QKeySequence.StandardKey, ...]
    icon: str = ""


def player_commands() -> list[Command]:
    """The table of commands, in the language that is on."""
    return [
        Command("play", translate("Player", "Play"), ("Space", "K"), "play"),
        Command("slower", translate("Player", "Slower"), ("J",), "slower"),
        Command("faster", translate("Player", "Faster"), ("L",), "faster"),
        Command("normal-speed", translate("Player", "Normal speed"), ("Shift+K",)),
        Command("back", translate("Player", "Back 5 seconds"), ("Left",)),
        Command("forward", translate("Player", "Forward 5 seconds"), ("Right",)),
        Command("step-back", translate("Player", "Previous frame"), (",",), "step-back"),
        Command("step-forward", translate("Player", "Next frame"), (".",), "step-forward"),
        Command("to-start", translate("Player", "Go to the beginning"), ("Home",)),
        Command("to-end", translate("Player", "Go to the end"), ("End",)),
        Command("mute", translate("Player", "Mute"), ("M",), "volume"),
        Command("louder", translate("Player", "Louder"), ("Up",)),
        Command("quieter", translate("Player", "Quieter"), ("Down",)),
        Command("range-start", translate("Player", "Range begins here"), ("I",), "range-start"),
        Command("range-end", translate("Player", "Range ends here"), ("O",), "range-end"),
        Command("edge-left", translate("Player", "Move the range's edge left"), ("Shift+Left",)),
        Command("edge-right", translate("Player", "Move the range's edge right"), ("Shift+Right",)),
        Command("play-range", translate("Player", "Play the range"), ("Shift+Space",), "play"),
        Command("clear-range", translate("Player", "Take the whole clip"), ("Esc",), "close"),
        Command("zoom-in", translate("Player", "Zoom into the timeline"), (_KEY.ZoomIn,)),
        Command("zoom-out", translate("Player", "Zoom out of the timeline"), (_KEY.ZoomOut,)),
        Command("zoom-whole", translate("Player", "Whole timeline"), ("Ctrl+0",)),
    ]


def make_actions(
    owner: QWidget, commands: list[Command], handlers: dict[str, Callable[[], None]]
) -> dict[str, QAction]:
    """Make the actions of a widget; every command has a handler."""
    made = {}
    for command in commands:
        action = QAction(command.words, owner)
        action.setObjectName(f"player.{command.name}")
        action.setShortcuts(_sequences(command.keys))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shown = ", ".join(
            key.toString(QKeySequence.SequenceFormat.NativeText) for key in action.shortcuts()
        )
        action.setToolTip(f"{command.words} ({shown})" if shown else command.words)
        if command.icon:
            action.setIcon(theme.icon(command.icon))
        # The action's own argument, whether it is checked, is no concern of a handler.
        action.triggered.connect(_plain(handlers[command.name]))
        owner.addAction(action)
        made[command.name] = action
    return made


def _plain(handler: Callable[[], None]) -> Callable[[bool], None]:
    return lambda _checked: handler()


def _sequences(keys: tuple[str | QKeySequence.StandardKey, ...]) -> list[QKeySequence]:
    found = []
    for key in keys:
        if isinstance(key, str):
            found.append(QKeySequence(key))
        else:
            found += QKeySequence.keyBindings(key)
    return found


class KeysFirst(QObject):
    """Lets a widget have its own keys, although they are the keys of commands as well."""

    def __init__(self, keys: set[Qt.Key], parent: QObject) -> None:
        """Keep some keys for whatever this is installed on as an event filter."""
        super().__init__(parent)
        self._keys = keys

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Claim the key before the commands see it."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            if plain and event.key() in self._keys:
                event.accept()
                return True
        return super().eventFilter(watched, event)
