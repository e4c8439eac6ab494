"""Safe mode: the window with the least that can go wrong, offered after it came to a bad end."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from app.widgets.model_desk import ModelDesk
from app.widgets.window_actions import WindowActions
from app.widgets.window_layout import WindowLayout


class SafeMode(QObject):
    """Enters and leaves it; `on` says whether it is."""

    def __init__(self, desk: ModelDesk, views: WindowLayout, commands: WindowActions) -> None:
        """It is off.

        Args:
            desk: loads the model; also the owner of this object.
            views: where it is shown.
            commands: those that it takes away.
        """
        super().__init__(desk)
        self.on = False
        self._desk, self._views, self._commands = desk, views, commands
        self._said = ""
        self._live_tip = commands.live_page.toolTip()
        commands.leave_safe_mode.triggered.connect(self.leave)

    def enter(self, clip: Path | None = None) -> None:
        """Begin in safe mode, before a model is loaded.

        Args:
            clip: what was to be opened; it is not, but named.
        """
        self._set(True)
        left_out = self.tr(
            "Safe mode: the model runs on the CPU and uses no copies kept to be quicker, camera and"
            " microphone stay off, and no clip or conversation was opened."
        )
        self._said = left_out
        if clip is not None:
            words = self.tr("If {name} is not to blame, open it yourself.")
            self._said = f"{left_out} {words.format(name=clip.name)}"
        self._views.status.set_safe(left_out)
        back = self.tr("Leave safe mode"), self.leave
        self._views.notices.say(self._said, "warning", back)

    def leave(self) -> None:
        """Work as usual from now on; the model is loaded again as the settings say."""
        if self.on:
            self._set(False)
            self._views.notices.withdraw(self._said)
            self._views.status.set_safe("")
            self._desk.reload()

    def offer(self, window: QWidget, chosen: Callable[[bool], None]) -> None:
        """Ask whether to begin in it; `chosen` gets the answer, unless the window is closed."""
        box = QMessageBox(window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Start in safe mode?"))
        box.setText(self.tr("VL2 Desktop did not end as it should the last time."))
        box.setInformativeText(
            self.tr(
                "If it crashed, start it in safe mode: on the CPU, without camera and microphone,"
                " and with no clip or conversation opened. Your settings and your history stay as"
                " they are."
            )
        )
        safe = box.addButton(self.tr("&Safe mode"), QMessageBox.ButtonRole.AcceptRole)
        usual = box.addButton(self.tr("Start as &usual"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(usual)
        box.setEscapeButton(usual)
        box.finished.connect(lambda _: chosen(box.clickedButton() is safe))
        box.open()

    def _set(self, on: bool) -> None:
        self.on = self._desk.safe = on
        live, leave = self._commands.live_page, self._commands.leave_safe_mode
        live.setEnabled(not on)
        live.setToolTip(self.tr("Not in safe mode") if on else self._live_tip)
        leave.setVisible(on)
        leave.setEnabled(on)
