"""How the window looks, light and dark: one table of colours by role, one set of icons.

A widget takes its colours from here by role (`colour("sound")`), never as a number of its own.
Labels, buttons and frames say what they are by `mark(widget, "primary")`; the style sheet does the
rest. A widget that paints by itself asks for the colours while it paints: a change of theme
repaints everything (`QEvent.Type.PaletteChange`). Icons that came from `icon()` and sit on a
button or an action change their colour by themselves.
"""

import importlib.resources
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from PySide6.QtCore import QByteArray, QDir, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QColor, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from app.widgets.icon_paths import FILLED, PATHS
from app.widgets.style_sheet import style_sheet
from assets import icon_pictures

Choice = Literal["system", "light", "dark"]
Kind = Literal[
    "primary",
    "danger",
    "flat",
    "chip",
    "card",
    "title",
    "heading",
    "strong",
    "muted",
    "error",
    "warning",
    "bare",
]


@dataclass(frozen=True)
class Colours:
    """A colour for each role, as #rrggbb.

    Attributes:
        window: Behind everything.
        surface: Cards, lists, fields to write in.
        raised: Menus, tooltips, buttons.
        sunken: Troughs, code, the side panel.
        hover: Under the pointer.
        selected: The chosen row; text keeps its colour on it.
        border: Parts areas; carries no meaning.
        outline: The edge of a control; 3:1 against what is around it.
        text: What is read.
        muted: What is read second.
        accent: The one main action, focus, links.
        on_accent: Text on `accent`.
        picture: Frames the model saw.
        sound: Sound the model heard.
        skipped: What it did not get.
        error: Something failed, or will be lost.
        on_error: Text on `error`.
        warning: Something to know before going on.
        success: Verified, enough.
    """

    window: str
    surface: str
    raised: str
    sunken: str
    hover: str
    selected: str
    border: str
    outline: str
    text: str
    muted: str
    accent: str
    on_accent: str
    picture: str
    sound: str
    skipped: str
    error: str
    on_error: str
    warning: str
    success: str


LIGHT = Colours(
    window="#f5f6f8",
    surface="#ffffff",
    raised="#ffffff",
    sunken="#eceef2",
    hover="#e6eaf1",
    selected="#dbe6fd",
    border="#d9dde4",
    outline="#7c8592",
    text="#1a1d23",
    muted="#555e6b",
    accent="#2257cf",
    on_accent="#ffffff",
    picture="#1c5fd1",
    sound="#9a4b00",
    skipped="#5c6571",
    error="#b42318",
    on_error="#ffffff",
    warning="#7d5200",
    success="#17693a",
)
DARK = Colours(
    window="#17191e",
    surface="#1e2127",
    raised="#282c34",
    sunken="#121418",
    hover="#2b303a",
    selected="#28395c",
    border="#343943",
    outline="#808a99",
    text="#e6e9ef",
    muted="#a9b1be",
    accent="#86abff",
    on_accent="#0d1526",
    picture="#7fb2ff",
    sound="#f2a65e",
    skipped="#a0a8b5",
    error="#ff9a90",
    on_error="#2a0906",
    warning="#e6bd58",
    success="#74d092",
)
ROLES = tuple(field.name for field in fields(Colours))

# Marks that the style sheet can only take from files: glyphs/NAME-light.svg and -dark.svg.
GLYPHS = {
    "down": ("chevron-down", "text"),
    "up": ("chevron-up", "text"),
    "check": ("check", "on_accent"),
    "dot": ("dot", "on_accent"),
}

ICON_SIZES = (16, 20, 24, 32, 40, 48, 64, 96)


class _State:
    """What is on now; one a process, as there is one application."""

    choice: Choice = "system"
    colours: Colours = LIGHT
    heard: bool = False
    icons: dict[tuple[str, str], QIcon]
    names: dict[int, tuple[str, str]]  # by QIcon.cacheKey, which copies of an icon share


_state = _State()
_state.icons = {}
_state.names = {}


def apply(app: QApplication, choice: str) -> None:
    """Give the application its looks, now and whenever the system's scheme changes.

    Args:
        app: The application.
        choice: "system", "light" or "dark"; anything else counts as "system".
    """
    hints = QGuiApplication.styleHints()
    known = [name for name in get_args(Choice) if name == choice]
    _state.choice = known[0] if known else "system"
    if not _state.heard:
        _state.heard = True
        app.setStyle("Fusion")
        glyphs = importlib.resources.files("app") / "widgets" / "glyphs"
        QDir.setSearchPaths("vl2", [str(glyphs)])
        hints.colorSchemeChanged.connect(_follow)
    # The window's frame and the system's dialogs hear of it too, where the system can.
    if _state.choice == "system":
        hints.unsetColorScheme()
    else:
        scheme = Qt.ColorScheme.Dark if _state.choice == "dark" else Qt.ColorScheme.Light
        hints.setColorScheme(scheme)
    _follow()


def is_dark() -> bool:
    """Tell which of the two is on."""
    return _state.colours is DARK


def colours() -> Colours:
    """Return the table that is on now."""
    return _state.colours


def colour(role: str, alpha: float = 1.0) -> QColor:
    """Return the colour of a role (a field of `Colours`) as it is now, at an opacity of 0 to 1."""
    result = QColor(getattr(_state.colours, role))
    result.setAlphaF(alpha)
    return result


def mark(widget: QWidget, kind: Kind | None) -> None:
    """Say what a widget is, so that the style sheet draws it so; None makes it ordinary again."""
    widget.setProperty("kind", kind)
    # One that has not been shown yet gets its look when it is.
    if widget.testAttribute(Qt.WidgetAttribute.WA_WState_Polished):
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def icon(name: str, role: str = "text") -> QIcon:
    """Return one of our icons (a key of `icon_paths.PATHS`) in the colour of a role."""
    key = (name, role)
    if key not in _state.icons:
        made = QIcon()
        for mode, used in ((QIcon.Mode.Normal, role), (QIcon.Mode.Disabled, "outline")):
            renderer = QSvgRenderer(QByteArray(svg(name, used).encode()))
            for side in ICON_SIZES:
                made.addPixmap(_drawn(renderer, side), mode)
        _state.icons[key] = made
        _state.names[made.cacheKey()] = key
    return _state.icons[key]


def program_icon() -> QIcon:
    """The program's own icon, in all its sizes."""
    made = QIcon()
    for picture in icon_pictures():
        made.addFile(str(picture))
    return made


def pixmap(name: str, side: int, role: str = "text", ratio: float = 1.0) -> QPixmap:
    """Draw an icon as a square.

    Args:
        name: A key of `icon_paths.PATHS`.
        side: Width and height in the window's own pixels.
        role: The colour.
        ratio: The screen's pixels for each of those (`QWidget.devicePixelRatioF`).
    """
    renderer = QSvgRenderer(QByteArray(svg(name, role).encode()))
    result = _drawn(renderer, round(side * ratio))
    result.setDevicePixelRatio(ratio)
    return result


def _drawn(renderer: QSvgRenderer, side: int) -> QPixmap:
    result = QPixmap(QSize(side, side))
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter, QRectF(0, 0, side, side))
    painter.end()
    return result


def svg(name: str, role: str = "text") -> str:
    """Return an icon as an SVG document in the colour of a role."""
    ink = getattr(_state.colours, role)
    fill = ink if name in FILLED else "none"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
        f'<path d="{PATHS[name]}" fill="{fill}" stroke="{ink}" stroke-width="1.8"'
        ' stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )


def _follow() -> None:
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        return
    system_dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
    dark = _state.choice == "dark" or (_state.choice == "system" and system_dark)
    _state.colours = DARK if dark else LIGHT
    scheme = "dark" if dark else "light"
    sheet = style_sheet(asdict(_state.colours), app.font().pointSizeF(), scheme)
    if sheet == app.styleSheet():  # To set it again would cost as much as to change it.
        return
    app.setPalette(_palette(_state.colours))
    app.setStyleSheet(sheet)
    old = dict(_state.names)
    _state.icons.clear()
    _recolour_icons(app, old)


def _recolour_icons(app: QApplication, old: dict[int, tuple[str, str]]) -> None:
    for widget in app.allWidgets():
        owners: list[QAction | QAbstractButton] = list(widget.actions())
        owners += widget.findChildren(QAction, options=Qt.FindChildOption.FindDirectChildrenOnly)
        if isinstance(widget, QAbstractButton):
            owners.append(widget)
        for owner in owners:
            key = old.get(owner.icon().cacheKey())
            if key is not None:
                owner.setIcon(icon(*key))


def _palette(table: Colours) -> QPalette:
    role = QPalette.ColorRole
    roles = {
        role.Window: table.window,
        role.WindowText: table.text,
        role.Base: table.surface,
        role.AlternateBase: table.sunken,
        role.Text: table.text,
        role.Button: table.raised,
        role.ButtonText: table.text,
        role.BrightText: table.error,
        role.ToolTipBase: table.raised,
        role.ToolTipText: table.text,
        role.PlaceholderText: table.muted,
        role.Highlight: table.selected,
        role.HighlightedText: table.text,
        role.Accent: table.accent,
        role.Link: table.accent,
        role.LinkVisited: table.accent,
        role.Light: table.raised,
        role.Midlight: table.hover,
        role.Mid: table.border,
        role.Dark: table.outline,
        role.Shadow: table.sunken,
    }
    palette = QPalette()
    for name, value in roles.items():
        palette.setColor(name, QColor(value))
    for name in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        palette.setColor(QPalette.ColorGroup.Disabled, name, QColor(table.outline))
    return palette
