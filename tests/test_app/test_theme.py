import itertools
from dataclasses import asdict
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray, QEvent, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QPushButton, QWidget

from app.widgets import theme
from app.widgets.icon_paths import FILLED, PATHS
from app.widgets.style_sheet import style_sheet

pytestmark = pytest.mark.gui

READ = ("text", "muted", "accent", "picture", "sound", "skipped", "error", "warning", "success")
BEHIND = ("window", "surface", "raised", "sunken", "hover", "selected")


@pytest.fixture(autouse=True)
def light(qapp):
    theme.apply(qapp, "light")
    yield
    theme.apply(qapp, "light")


def luminance(colour: str) -> float:
    # WCAG 2.2, relative luminance.
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, drawn: str) -> float:
    low, high = sorted((luminance(one), luminance(drawn)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("table", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_everything_read_stands_out_from_everything_behind_it(table):
    colours = asdict(table)
    for front, back in itertools.product(READ, BEHIND):
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
    assert contrast(table.on_accent, table.accent) >= 4.5
    assert contrast(table.on_error, table.error) >= 4.5


@pytest.mark.parametrize("table", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_edges_of_controls_can_be_seen(table):
    for back in ("window", "surface", "raised"):
        assert contrast(table.outline, getattr(table, back)) >= 3, back


def test_the_style_sheet_knows_every_colour_it_names():
    sheet = style_sheet(asdict(theme.DARK), 10, "dark")
    assert "$" not in sheet
    assert "font-size: 15.0pt" in sheet
    assert theme.DARK.accent in sheet


@pytest.mark.parametrize("name", sorted(PATHS))
def test_an_icon_draws_something_and_stays_inside(qapp, name):
    assert QSvgRenderer(QByteArray(theme.svg(name).encode())).isValid()
    picture = theme.pixmap(name, 24, ratio=2.0)
    assert picture.deviceIndependentSize().width() == 24
    image = picture.toImage()
    assert image.width() == 48
    alpha = [[image.pixelColor(x, y).alpha() for x in range(48)] for y in range(48)]
    assert sum(map(sum, alpha)) > 48 * 255
    rim = [*alpha[0], *alpha[-1], *(row[0] for row in alpha), *(row[-1] for row in alpha)]
    assert max(rim) == 0


def test_filled_icons_exist():
    assert set(PATHS) >= FILLED


def test_an_icon_has_the_colour_of_its_role(qapp):
    image = theme.pixmap("stop", 24, "error").toImage()
    assert image.pixelColor(12, 12).name() == theme.LIGHT.error


def test_changing_the_theme_changes_palette_icons_and_colours(qapp, qtbot):
    button = QPushButton(theme.icon("stop"), "Stop")
    qtbot.addWidget(button)
    assert not theme.is_dark()
    assert theme.colour("text").name() == theme.LIGHT.text

    theme.apply(qapp, "dark")

    assert theme.is_dark()
    assert qapp.palette().window().color().name() == theme.DARK.window
    drawn = button.icon().pixmap(24, 24).toImage()
    ratio = drawn.devicePixelRatio()
    assert drawn.pixelColor(round(12 * ratio), round(12 * ratio)).name() == theme.DARK.text


def test_a_widget_hears_of_the_change(qapp, qtbot):
    heard = []

    class Painted(QWidget):
        def changeEvent(self, event: QEvent) -> None:
            if event.type() == QEvent.Type.PaletteChange:
                heard.append(theme.is_dark())

    widget = Painted()
    qtbot.addWidget(widget)
    widget.show()
    theme.apply(qapp, "dark")
    assert heard
    assert heard[-1]


def test_system_follows_the_systems_scheme(qapp, monkeypatch):
    class Hints:
        scheme = Qt.ColorScheme.Dark

        def colorScheme(self) -> Qt.ColorScheme:
            return self.scheme

        def unsetColorScheme(self) -> None: ...

        def setColorScheme(self, scheme: Qt.ColorScheme) -> None: ...

    hints = Hints()
    monkeypatch.setattr(QGuiApplication, "styleHints", lambda: hints)
    theme.apply(qapp, "system")
    assert theme.is_dark()
    hints.scheme = Qt.ColorScheme.Light
    theme._follow()
    assert not theme.is_dark()
    hints.scheme = Qt.ColorScheme.Unknown
    theme.apply(qapp, "no such thing")
    assert not theme.is_dark()


def test_marked_widgets_look_so(qapp, qtbot):
    button = QPushButton("Send")
    qtbot.addWidget(button)
    theme.mark(button, "primary")
    button.resize(80, 30)
    button.clearFocus()
    assert button.grab().toImage().pixelColor(8, 15).name() == theme.LIGHT.accent
    theme.mark(button, None)
    assert button.grab().toImage().pixelColor(8, 15).name() == theme.LIGHT.raised


def test_marks_of_the_style_sheet_are_in_the_colours_of_the_table(qapp):
    folder = Path(theme.__file__).with_name("glyphs")
    found = {path.name for path in folder.iterdir()}
    expected = set()
    for scheme in ("light", "dark"):
        theme.apply(qapp, scheme)
        for glyph, (name, role) in theme.GLYPHS.items():
            expected.add(f"{glyph}-{scheme}.svg")
            text = (folder / f"{glyph}-{scheme}.svg").read_text(encoding="utf-8")
            assert text == theme.svg(name, role) + "\n"
    assert found == expected
