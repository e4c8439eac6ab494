"""The menu of a turn: what can be done with a question and its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMenu

from app.widgets import theme

if TYPE_CHECKING:
    from app.widgets.turn_view import TurnView

translate = QCoreApplication.translate


def turn_menu(view: TurnView) -> QMenu:
    """Everything that can be done with a turn; what cannot be now is disabled."""
    menu = QMenu(view)
    for text in (view.question, view.answer):
        if text.textCursor().hasSelection():
            _add(menu, "copy", translate("TurnMenu", "Copy selection"), text.copy)
            break
    written, known = bool(view.answer.markdown), view.has_receipt
    _add(menu, "copy", translate("TurnMenu", "Copy answer"), view.copy_text, written)
    markdown = translate("TurnMenu", "Copy answer as Markdown")
    _add(menu, "copy", markdown, view.copy_markdown, written)
    _add(menu, "copy", translate("TurnMenu", "Copy question"), view.copy_question)
    menu.addSeparator()
    _add(menu, "receipt", translate("TurnMenu", "Show receipt"), view.show_receipt, known)
    as_json = translate("TurnMenu", "Copy receipt (JSON)")
    _add(menu, "receipt", as_json, view.copy_receipt, known)
    menu.addSeparator()
    again = translate("TurnMenu", "Answer again")
    if view.following:
        again = translate(
            "TurnMenu", "Answer again, removing %n later question(s)", None, view.following
        )
    _add(menu, "regenerate", again, view.regenerate)
    _add(menu, "edit", translate("TurnMenu", "Edit and ask again"), view.begin_edit)
    return menu


def _add(menu: QMenu, icon: str, text: str, act: Callable[[], None], enabled: bool = True) -> None:
    action = menu.addAction(theme.icon(icon), text)
    action.triggered.connect(act)
    action.setEnabled(enabled)
