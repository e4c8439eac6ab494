"""The style sheet of the whole window, made from the table of colours."""

from collections.abc import Mapping
from string import Template

# What each part is called in `theme.mark`: [kind="…"]. Focus is a second pixel of edge, taken from
# the padding, so that nothing moves.
_SHEET = Template("""
QToolTip { background: $raised; color: $text; border: 1px solid $outline; padding: 4px 6px; }
QFrame[kind="card"] { background: $surface; border: 1px solid $border; border-radius: 8px; }
QFrame[kind="popup"] { background: $surface; border: 1px solid $outline; }
QLabel[kind="title"] { font-size: ${title}pt; font-weight: 600; }
QLabel[kind="heading"] { font-size: ${heading}pt; font-weight: 600; }
QLabel[kind="strong"] { font-weight: 600; }
QLabel[kind="muted"] { color: $muted; }
QLabel[kind="error"] { color: $error; }
QLabel[kind="warning"] { color: $warning; }
QLabel[kind="key"] { background: $sunken; color: $muted; border: 1px solid $outline;
  border-radius: 4px; padding: 1px 6px; }

QPushButton, QToolButton { background: $raised; color: $text; border: 1px solid $outline;
  border-radius: 6px; padding: 5px 12px; }
QToolButton { padding: 4px; }
QPushButton:hover, QToolButton:hover { background: $hover; }
QPushButton:pressed, QToolButton:pressed, QToolButton:checked { background: $selected; }
QPushButton:disabled, QToolButton:disabled { color: $outline; border-color: $border; }
QPushButton:focus { border: 2px solid $accent; padding: 4px 11px; }
QToolButton:focus { border: 2px solid $accent; padding: 3px; }
QPushButton[kind="primary"], QToolButton[kind="primary"] { background: $accent; color: $on_accent;
  border-color: $accent; font-weight: 600; }
QPushButton[kind="primary"]:focus, QToolButton[kind="primary"]:focus { border-color: $text; }
QPushButton[kind="primary"]:disabled, QToolButton[kind="primary"]:disabled {
  background: $sunken; color: $outline; border-color: $border; }
QPushButton[kind="danger"] { color: $error; border-color: $error; }
QPushButton[kind="flat"], QToolButton[kind="flat"] { background: transparent;
  border-color: transparent; }
QPushButton[kind="flat"]:hover, QToolButton[kind="flat"]:hover { background: $hover; }
QPushButton[kind="flat"]:focus, QToolButton[kind="flat"]:focus { border-color: $accent; }
QPushButton[kind="flat"]:checked, QToolButton[kind="flat"]:checked { background: $selected; }
QToolButton::menu-indicator { image: none; }
QPushButton[kind="chip"] { border-radius: 13px; }

QLineEdit, QPlainTextEdit, QTextEdit { background: $surface; color: $text;
  border: 1px solid $outline; border-radius: 6px; padding: 4px 7px;
  selection-background-color: $selected; selection-color: $text;
  placeholder-text-color: $muted; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus { border: 2px solid $accent;
  padding: 3px 6px; }
QTextEdit[kind="bare"], QPlainTextEdit[kind="bare"] { background: transparent; border: none;
  border-radius: 0; padding: 0; }

QComboBox, QAbstractSpinBox { background: $surface; color: $text; border: 1px solid $outline;
  border-radius: 6px; padding: 4px 7px; min-height: 1.3em;
  selection-background-color: $selected; selection-color: $text; }
QComboBox:focus, QAbstractSpinBox:focus { border: 2px solid $accent; padding: 3px 6px; }
QComboBox:disabled, QAbstractSpinBox:disabled { color: $outline; border-color: $border;
  background: $window; }
QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url(vl2:down-$scheme.svg); width: 14px; height: 14px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $outline; padding: 3px;
  selection-background-color: $selected; selection-color: $text; }
QAbstractSpinBox QLineEdit { padding: 0 0 0 6px; border: none; background: transparent; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { border: none; width: 20px;
  background: transparent; subcontrol-origin: border; margin: 2px; }
QAbstractSpinBox::up-button { subcontrol-position: top right; }
QAbstractSpinBox::down-button { subcontrol-position: bottom right; }
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover { background: $hover; }
QAbstractSpinBox::up-arrow { image: url(vl2:up-$scheme.svg); width: 11px; height: 11px; }
QAbstractSpinBox::down-arrow { image: url(vl2:down-$scheme.svg); width: 11px; height: 11px; }

QCheckBox, QRadioButton { spacing: 8px; padding: 2px; border: 2px solid transparent;
  border-radius: 6px; }
QCheckBox:focus, QRadioButton:focus { border-color: $accent; }
QCheckBox::indicator, QRadioButton::indicator { width: 16px; height: 16px;
  border: 1px solid $outline; background: $surface; border-radius: 4px; }
QRadioButton::indicator { border-radius: 9px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: $accent; }
QCheckBox::indicator:checked, QRadioButton::indicator:checked { background: $accent;
  border-color: $accent; }
QCheckBox::indicator:checked { image: url(vl2:check-$scheme.svg); }
QRadioButton::indicator:checked { image: url(vl2:dot-$scheme.svg); }
QCheckBox:disabled, QRadioButton:disabled { color: $outline; }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { border-color: $border;
  background: $sunken; }

QListWidget { background: $surface; border: 1px solid $outline; border-radius: 6px; padding: 2px; }
QListWidget:focus { border: 2px solid $accent; padding: 1px; }

QLineEdit[kind="bare"] { background: transparent; border-color: transparent; padding: 0 1px; }
QLineEdit[kind="bare"]:focus { border: 1px solid $accent; }

QMenuBar { background: $window; color: $text; }
QMenuBar::item { background: transparent; padding: 4px 8px; border-radius: 4px; }
QMenuBar::item:selected { background: $selected; }
QToolBar { background: $window; border: none; spacing: 4px; padding: 4px; }
QToolBar[orientation="vertical"] { border-right: 1px solid $border; }
QToolBar QToolButton { background: transparent; border-color: transparent; padding: 5px; }
QToolBar QToolButton:hover { background: $hover; }
QToolBar QToolButton:checked { background: $selected; border-left: 3px solid $accent;
  padding-left: 3px; }
QToolBar QToolButton:focus { border: 2px solid $accent; padding: 4px; }
QStatusBar::item { border: none; }

QMenu { background: $raised; border: 1px solid $outline; padding: 4px; }
QMenu::item { padding: 5px 22px 5px 12px; border-radius: 4px; }
QMenu::icon { padding-left: 8px; }
QMenu::item:selected { background: $selected; }
QMenu::item:disabled { color: $outline; }
QMenu::separator { height: 1px; background: $border; margin: 4px 6px; }

QScrollBar:vertical { background: transparent; width: 12px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 12px; margin: 0; }
QScrollBar::handle { background: $outline; border-radius: 4px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QProgressBar { background: $sunken; border: 1px solid $border; border-radius: 4px;
  text-align: center; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QSlider::groove:horizontal { background: $outline; height: 4px; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal { background: $accent; border: 2px solid $accent; width: 10px;
  height: 10px; margin: -5px 0; border-radius: 7px; }
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus { border-color: $text; }
QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled {
  background: $outline; border-color: $outline; }
QSlider:focus { border: 1px solid $accent; border-radius: 4px; }
QSplitter::handle { background: $border; }
QSplitter::handle:hover { background: $accent; }
""")


def style_sheet(colours: Mapping[str, str], points: float, scheme: str) -> str:
    """Return the style sheet.

    Args:
        colours: A colour for each role of `theme.Colours`.
        points: Size of the application's font; titles are larger by a share of it.
        scheme: "light" or "dark": which of the drawn marks (glyphs/) fit the colours.
    """
    return _SHEET.substitute(
        colours, scheme=scheme, title=f"{points * 1.5:.1f}", heading=f"{points * 1.15:.1f}"
    )
