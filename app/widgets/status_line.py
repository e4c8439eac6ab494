"""The line at the bottom: what is being done, which model, which device, and connections."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QLabel, QProgressBar, QStatusBar, QWidget

from app.widgets import theme
from app.widgets.plain_tip import plain_tip
from engines.offline import Connections, connections

# What waits for a long question must not push the rest out of a narrow window.
LIVE_WIDTH = 220
COUNT_MS = 2_000


class StatusLine(QStatusBar):
    """Standing facts at the right, what is going on at the left."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Nothing is loaded."""
        super().__init__(parent)
        self.setSizeGripEnabled(False)
        self._doing = QLabel(self)
        self._doing.setTextFormat(Qt.TextFormat.PlainText)
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setFixedSize(120, 8)
        self._bar.hide()
        self._model = self._fact(self.tr("Model"))
        self._device = self._fact(self.tr("Device"))
        self._live = self._fact(self.tr("Camera and microphone"))
        self._live.hide()
        self._safe = self._fact(self.tr("Safe mode"))
        self._safe.hide()
        self._offline = self._fact(self.tr("Network"))
        self._narrow = False
        self._counted: Connections | None = None
        self._count_again = QTimer(self)
        self._count_again.setInterval(COUNT_MS)
        self._count_again.timeout.connect(self.count)
        self._count_again.start()
        self.count()
        self.addWidget(self._doing)
        self.addWidget(self._bar)
        for fact in (self._safe, self._live, self._model, self._device, self._offline):
            self.addPermanentWidget(fact)

    def set_model(self, name: str, detail: str = "") -> None:
        """Name the model; the detail is its tooltip."""
        self._set(self._model, name, detail)

    def set_live(self, text: str, tip: str = "") -> None:
        """Say that camera and microphone are on; "" when they are not."""
        short = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, LIVE_WIDTH)
        self._set(self._live, f"● {short}" if text else "", tip)
        self._live.setVisible(bool(text))

    def set_safe(self, tip: str) -> None:
        """Say that this is safe mode, and in the tooltip what that is; "" when it is not."""
        self._set(self._safe, self.tr("safe mode") if tip else "", tip)
        self._safe.setVisible(bool(tip))

    def set_narrow(self, narrow: bool) -> None:
        """Use fewer words, because there is no room."""
        self._narrow, self._counted = narrow, None
        self.count()

    def count(self) -> None:
        """Show how many connections there were, of this process and those that it started."""
        now = connections()
        if now == self._counted:
            return
        self._counted = now
        text = self.tr("Connections made: {made} (refused: {refused})")
        if self._narrow:
            text = self.tr("online: {made}") if now.made else self.tr("offline")
        if now.cameras:
            text += self.tr(", cameras: {cameras}")
        tip = self.tr(
            "Nothing leaves this computer. Connections to other computers, and questions for their"
            " names, are counted in the window, in the model's process and in those that read"
            " clips. Made: {made}. Tried by a library and refused: {refused}. Streams of cameras"
            " whose address you gave: {cameras}."
        )
        numbers = {"made": now.made, "refused": now.refused, "cameras": now.cameras}
        self._set(self._offline, text.format(**numbers), tip.format(**numbers))

    def set_device(self, name: str, reason: str = "") -> None:
        """Name the device; the reason is its tooltip."""
        self._set(self._device, name, reason)

    def show_info(self, info: Mapping[str, Any]) -> None:
        """Show the loaded model and its device (`inference.Loaded.info`)."""
        scheme = info["scheme"]
        self.set_model(f"{info['name']} · {scheme}", f"{info['path']}\n{info['bundle'][:12]}")
        parts = [f"{part}: {engine}" for part, engine in info["engines"].items()]
        self.set_device(info["device"].upper(), "\n".join([info["device_reason"], *parts]))

    def set_doing(self, text: str | None, fraction: float | None = None) -> None:
        """Say what is going on.

        Args:
            text: a few words; None when nothing is.
            fraction: 0 to 1; None when it is not known how long it takes.
        """
        self._doing.setText(text or "")
        self._bar.setVisible(text is not None)
        if fraction is None:
            self._bar.setRange(0, 0)
        else:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(fraction * 1000))

    def doing(self) -> str:
        """What is said to be going on."""
        return self._doing.text()

    def _fact(self, name: str) -> QLabel:
        label = QLabel(self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setAccessibleName(name)
        label.setContentsMargins(6, 0, 6, 0)
        theme.mark(label, "muted")
        return label

    def _set(self, label: QLabel, text: str, tip: str) -> None:
        label.setText(text)
        label.setToolTip(plain_tip(tip))
        label.setAccessibleDescription(tip)
