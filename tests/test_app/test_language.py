import ast
import re
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass

import pytest
from PySide6.QtCore import QCoreApplication, QLocale
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLabel, QLineEdit, QWidget

from app.widgets import language, theme
from app.widgets.build_dialog import BuildDialog
from app.widgets.chat import ChatPane
from app.widgets.history_panel import HistoryPanel
from app.widgets.models_page import ModelsPage
from app.widgets.palette import CommandPalette
from app.widgets.player import PlayerPane
from app.widgets.settings_page import SettingsPage
from app.widgets.shortcut_sheet import ShortcutSheet
from tests import translations

pytestmark = pytest.mark.gui
GAP = re.compile(r"\{(\w*)\}|%n|%\d")


@dataclass(frozen=True)
class Message:
    context: str
    source: str
    forms: tuple[str, ...]
    finished: bool
    numerus: bool


def messages(path) -> list[Message]:
    found = []
    for context in ET.parse(path).iter("context"):
        name = context.findtext("name") or ""
        for message in context.iter("message"):
            translation = message.find("translation")
            numerus = message.get("numerus") == "yes"
            forms = (
                tuple(form.text or "" for form in translation.iter("numerusform"))
                if numerus
                else (translation.text or "",)
            )
            source = message.findtext("source") or ""
            found.append(Message(name, source, forms, translation.get("type") is None, numerus))
    return found


@pytest.fixture(scope="module", params=translations.LANGUAGES)
def collected(request, tmp_path_factory):
    """A language's messages as the sources of today have them."""
    name = f"vl2_{request.param}.ts"
    file = tmp_path_factory.mktemp("translations") / name
    shutil.copy(translations.FOLDER / name, file)
    translations.collect(file, request.param)
    return request.param, messages(file)


@pytest.fixture(autouse=True)
def english_afterwards(qapp):
    theme.apply(qapp, "light")
    yield
    language.install(qapp, "en")


def test_every_text_is_translated(collected):
    _, found = collected
    assert [message for message in found if not (message.finished and all(message.forms))] == []


def test_what_is_stored_is_up_to_date(collected):
    name, found = collected
    assert messages(translations.FOLDER / f"vl2_{name}.ts") == found


def test_gaps_are_the_same(collected):
    _, found = collected
    for message in found:
        for form in message.forms:
            gaps = Counter(match[0] for match in GAP.finditer(form))
            assert gaps == Counter(match[0] for match in GAP.finditer(message.source)), message


def test_what_belongs_to_the_form_is_kept(collected):
    _, found = collected
    for message in found:
        for form in message.forms:
            for mark in ("…", ":", "."):
                assert form.endswith(mark) == message.source.endswith(mark), message
            assert form.startswith(" ") == message.source.startswith(" "), message
            assert ("&" in form) == ("&" in message.source), message
            assert "..." not in form
            assert form.count("“") == form.count("„"), message


def test_contexts_are_those_that_the_program_asks_for(collected):
    """A text outside a class, or of another object, would be looked up elsewhere at run time."""
    _, found = collected
    classes, named = set(), set()
    for path in translations.sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes.add(node.name)
            elif isinstance(node, ast.Call) and len(node.args) > 1:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else None
                name = node.func.id if isinstance(node.func, ast.Name) else name
                first = node.args[0]
                if name in ("translate", "QT_TRANSLATE_NOOP") and isinstance(first, ast.Constant):
                    named.add(first.value)
    assert {message.context for message in found} <= classes | named


def test_the_packed_file_says_the_same(collected, qapp):
    name, found = collected
    assert language.install(qapp, name) == name
    for message in found:
        if message.numerus:
            said = [
                QCoreApplication.translate(message.context, message.source, "", n) for n in (1, 7)
            ]
            expected = [form.replace("%n", n) for form, n in zip(message.forms, "17", strict=True)]
        else:
            said = [QCoreApplication.translate(message.context, message.source)]
            expected = list(message.forms)
        assert said == expected, message


def test_an_unknown_language_is_english_and_the_systems_is_taken(qapp, monkeypatch):
    assert language._first_known(["fr-FR", "xx"]) == "en"
    assert language._first_known(["fr-FR", "de-Latn-DE", "en"]) == "de"
    assert language._first_known([]) == "en"
    monkeypatch.setattr(QLocale, "uiLanguages", lambda self: ["de-AT", "de"])
    assert language.install(qapp, "system") == "de"
    assert QCoreApplication.translate("HistoryRows", "Today") == "Heute"
    assert language.install(qapp, "en") == "en"
    assert QCoreApplication.translate("HistoryRows", "Today") == "Today"


def test_numbers_follow_the_language(qapp):
    language.install(qapp, "de")
    assert QLocale().toString(1.5, "f", 1) == "1,5"
    language.install(qapp, "en")
    assert QLocale().toString(1.5, "f", 1) == "1.5"


def test_qts_own_texts_follow_too(qapp):
    language.install(qapp, "de")
    assert QCoreApplication.translate("QPlatformTheme", "Cancel") == "Abbrechen"


def said_by(widget: QWidget) -> set[str]:
    said = set()
    for part in (widget, *widget.findChildren(QWidget)):
        said |= {part.accessibleName(), part.accessibleDescription(), part.toolTip()}
        if isinstance(part, QLabel | QAbstractButton):
            said.add(part.text())
        if isinstance(part, QLineEdit):
            said.add(part.placeholderText())
        if isinstance(part, QComboBox):
            said |= {part.itemText(row) for row in range(part.count())}
    return said - {""}


@pytest.mark.parametrize(
    "make",
    [
        HistoryPanel,
        ModelsPage,
        SettingsPage,
        BuildDialog,
        lambda: ShortcutSheet([]),
        lambda: CommandPalette([], QWidget()),
        ChatPane,
        PlayerPane,
    ],
    ids=["history", "models", "settings", "build", "shortcuts", "palette", "chat", "player"],
)
def test_nothing_english_is_left_on_a_german_page(qtbot, qapp, make, monkeypatch):
    monkeypatch.setattr("app.bundles.export_problem", lambda: None)
    german = messages(translations.FOLDER / "vl2_de.ts")
    different = {one.source for one in german if one.source not in one.forms}
    known = {form for one in german for form in one.forms}
    language.install(qapp, "de")
    widget = make()
    qtbot.addWidget(widget)
    said = said_by(widget)
    assert said & known
    assert not said & (different - known)
