"""An empty conversation: what to do, and questions to begin with."""

from collections.abc import Sequence

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from app.widgets import theme

_PADDING, _WIDEST = 12, 420


class WrapButton(QPushButton):
    """A button whose words go on in the next line where they must."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        """A button with this text, in which "&" is an ampersand."""
        super().__init__(parent)
        self.words = text
        self.setAccessibleName(text)
        self.setMaximumWidth(_WIDEST)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def sizeHint(self) -> QSize:
        """In one line, if that is not too wide."""
        width = self.fontMetrics().horizontalAdvance(self.words) + 2 * _PADDING + 2
        width = min(width, _WIDEST)
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        """Narrow."""
        return QSize(120, self.fontMetrics().height() + 16)

    def hasHeightForWidth(self) -> bool:
        """Yes."""
        return True

    def heightForWidth(self, width: int) -> int:
        """All lines."""
        area = QRect(0, 0, max(40, width - 2 * _PADDING), 10_000)
        words = self.fontMetrics().boundingRect(area, self._flags(), self.words)
        return words.height() + 16

    def paintEvent(self, event: QPaintEvent) -> None:
        """The style's button, and the words in it."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        painter = QStylePainter(self)
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)
        painter.setPen(theme.colour("text" if self.isEnabled() else "outline"))
        painter.drawText(self.rect().adjusted(_PADDING, 0, -_PADDING, 0), self._flags(), self.words)

    @staticmethod
    def _flags() -> int:
        return (
            Qt.AlignmentFlag.AlignVCenter.value
            | Qt.AlignmentFlag.AlignLeft.value
            | Qt.TextFlag.TextWordWrap.value
        )


class FirstQuestions(QScrollArea):
    """Stands where the turns will be."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Without questions."""
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        self.setWidget(page)
        self.viewport().setAutoFillBackground(False)
        page.setAutoFillBackground(False)
        self.buttons: list[WrapButton] = []
        self._column = QVBoxLayout(page)
        self._column.setContentsMargins(18, 18, 18, 18)
        self._column.setSpacing(8)
        self._column.addStretch(2)
        self._title = self._label("heading")
        self._words = self._label("muted")
        self._column.addSpacing(6)
        self._first = self._column.count()
        self._column.addStretch(3)
        self.set_questions((), has_clip=False)

    def set_questions(self, questions: Sequence[str], has_clip: bool) -> None:
        """Show these questions; without a clip there is nothing to ask about yet."""
        for button in self.buttons:
            self._column.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = [WrapButton(question) for question in questions if has_clip]
        for index, button in enumerate(self.buttons):
            button.clicked.connect(lambda _=False, text=button.words: self.chosen.emit(text))
            self._column.insertWidget(self._first + index, button)
        if has_clip:
            self._title.setText(self.tr("What do you want to know?"))
            words = self.tr("Ask in plain words, or begin with one of these:")
            self._words.setText(words if questions else self.tr("Ask in plain words."))
        else:
            self._title.setText(self.tr("Ask about a clip"))
            self._words.setText(
                self.tr("Open a video, a picture or a sound; everything stays on this computer.")
            )

    def _label(self, kind: theme.Kind) -> QLabel:
        label = QLabel(self)
        label.setWordWrap(True)
        theme.mark(label, kind)
        self._column.addWidget(label)
        return label
