"""Which camera and which microphone, and how the camera is to be set."""

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from app.capture.camera import CameraWish
from app.capture.cameras import CameraInfo, list_cameras
from app.capture.microphones import DEFAULT, MicrophoneInfo, list_microphones
from app.widgets import theme
from app.widgets.labels import picture
from app.widgets.plain_tip import plain_tip
from engines.errors import CaptureError

SIZES = ((640, 360), (640, 480), (1280, 720), (1920, 1080))
RATES = (5, 10, 15, 25, 30)
_ROLE = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Devices:
    """What is connected; `problem` says why there are no microphones, where they cannot be used."""

    cameras: tuple[CameraInfo, ...] = ()
    microphones: tuple[MicrophoneInfo, ...] = ()
    problem: str = ""

    def names(self) -> set[str]:
        """Every device's name."""
        return {one.name for one in self.cameras} | {one.name for one in self.microphones}


def find_devices(anew: bool) -> Devices:
    """Look what is connected; opens nothing, but takes a while.

    Args:
        anew: look for new microphones, too; possible while none is open.
    """
    try:
        microphones, problem = tuple(list_microphones(anew)), ""
    except CaptureError as error:
        microphones, problem = (), str(error)
    return Devices(tuple(list_cameras()), microphones, problem)


class LiveDevices(QWidget):
    """The choices. A camera can also be typed: its number, a part of its name, an address."""

    mirrorChanged = Signal(bool)
    refreshRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Nothing is connected."""
        super().__init__(parent)
        self._devices: Devices | None = None
        self.camera = self._box(
            self.tr("Camera"), self.tr("Choose one, or type a number, a name or an address.")
        )
        self.camera.setEditable(True)
        self.camera.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.microphone = self._box(self.tr("Microphone"), "")
        self.size_box = self._box(self.tr("Resolution"), self.tr("The camera may not obey."))
        self.rate_box = self._box(self.tr("Pictures a second"), self.tr("The camera may not obey."))
        self.size_box.addItem(self.tr("Any size"), None)
        for width, height in SIZES:
            self.size_box.addItem(f"{width} × {height}", (width, height))
        self.rate_box.addItem(self.tr("Any rate"), None)
        for rate in RATES:
            self.rate_box.addItem(self.tr("{rate} a second").format(rate=rate), float(rate))
        self.mirror = QCheckBox(self.tr("Mirrored"), self)
        self.mirror.setToolTip(self.tr("Shows you as a mirror does; the model sees it unmirrored."))
        self.mirror.toggled.connect(self.mirrorChanged)
        self.refresh = QToolButton(self)
        self.refresh.setIcon(theme.icon("reset"))
        self.refresh.setAccessibleName(self.tr("Look for cameras and microphones"))
        self.refresh.setToolTip(self.refresh.accessibleName())
        self.refresh.clicked.connect(self.refreshRequested)
        self._lay_out()
        self.set_devices(Devices())

    def set_devices(self, devices: Devices) -> None:
        """Offer these; what was chosen stays chosen."""
        camera, microphone = self.wanted_camera(), self.wanted_microphone()
        typed = self.camera.findText(self.camera.currentText().strip()) < 0
        first = self._devices is None
        came = self._devices is None or not self._devices.cameras
        self._devices = devices
        self.camera.clear()
        for one in devices.cameras:
            self.camera.addItem(f"{one.index}: {one.name}", str(one.index))
        self.camera.addItem(self.tr("No camera"), "")
        self.microphone.clear()
        if not devices.problem:
            self.microphone.addItem(self.tr("The system’s microphone"), DEFAULT)
        for heard in devices.microphones:
            self.microphone.addItem(heard.name, heard.name)
        self.microphone.addItem(self.tr("No microphone"), "")
        self.microphone.setToolTip(plain_tip(devices.problem))
        if typed and camera:
            self.camera.setEditText(camera)
        else:
            place = self.camera.findData(camera or "")
            # None was chosen because none was there: the first that comes is the choice.
            self.camera.setCurrentIndex(0 if camera is None and came else max(place, 0))
        if not first:
            self.choose_microphone(microphone)

    def choose_microphone(self, name: str | None) -> None:
        """Choose a microphone by its name; None for no microphone."""
        place = self.microphone.findData(name or "")
        self.microphone.setCurrentIndex(max(place, 0))

    def wanted_camera(self) -> str | None:
        """An index, a part of a name or an address; None for no camera."""
        text = self.camera.currentText().strip()
        place = self.camera.findText(text)
        chosen: Any = self.camera.itemData(place, _ROLE) if place >= 0 else text
        return str(chosen) or None

    def wanted_microphone(self) -> str | None:
        """Its name, or "default"; None for no microphone."""
        return str(self.microphone.currentData(_ROLE) or "") or None

    def wish(self) -> CameraWish:
        """How the camera is to be set."""
        size, rate = self.size_box.currentData(_ROLE), self.rate_box.currentData(_ROLE)
        width, height = size or (None, None)
        return CameraWish(width, height, rate)

    def set_recording(self, on: bool) -> None:
        """While it records, only the mirror can be changed."""
        for box in (self.camera, self.microphone, self.size_box, self.rate_box, self.refresh):
            box.setEnabled(not on)
        written = self.camera.lineEdit()
        if written is not None:
            written.setCursorPosition(0)  # Of a long address, its beginning is seen.

    def _box(self, name: str, tip: str) -> QComboBox:
        box = QComboBox(self)
        box.setAccessibleName(name)
        box.setAccessibleDescription(tip)
        box.setToolTip(tip or name)
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        box.setMinimumWidth(64)
        return box

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        rows = ((0, "camera", self.camera), (1, "microphone", self.microphone))
        for row, icon, box in rows:
            sign: QLabel = picture(icon, "muted")
            grid.addWidget(sign, row, 0)
            grid.addWidget(box, row, 1)
        grid.addWidget(self.size_box, 0, 2)
        grid.addWidget(self.rate_box, 0, 3)
        grid.addWidget(self.mirror, 1, 2)
        grid.addWidget(self.refresh, 1, 3, Qt.AlignmentFlag.AlignRight)
        grid.setColumnStretch(1, 5)
        grid.setColumnStretch(2, 2)
        grid.setColumnStretch(3, 2)
