"""The language of the window: our translations, Qt's own, and how numbers and dates are written."""

import importlib.resources

from PySide6.QtCore import QLibraryInfo, QLocale, QTranslator
from PySide6.QtWidgets import QApplication

# "en" is complete without a file but for plurals, which its file holds.
LANGUAGES = ("en", "de")

_installed: list[QTranslator] = []


def install(app: QApplication, choice: str) -> str:
    """Switch the language; what is on the screen already is to be made anew.

    Args:
        app: The application.
        choice: One of `LANGUAGES`; anything else, such as "system", takes the system's language
            if there is a translation, else English.

    Returns:
        The language taken.
    """
    while _installed:
        app.removeTranslator(_installed.pop())
    system = QLocale.system()
    language = choice if choice in LANGUAGES else _first_known(system.uiLanguages())
    # The system's own locale keeps the country's way of writing numbers and dates.
    same = system.name().partition("_")[0] == language
    QLocale.setDefault(system if same else QLocale(language))
    folder = importlib.resources.files("app") / "translations"
    qt_folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    for place, name in ((qt_folder, f"qtbase_{language}"), (str(folder), f"vl2_{language}")):
        translator = QTranslator(app)
        if translator.load(name, place):
            app.installTranslator(translator)
            _installed.append(translator)
    return language


def _first_known(wanted: list[str]) -> str:
    # Names such as "de-Latn-DE", the one liked best first.
    for name in wanted:
        language = name.replace("_", "-").partition("-")[0]
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]
