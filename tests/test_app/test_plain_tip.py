"""What comes from outside is shown as it stands, also where Qt looks for HTML."""

import pytest
from PySide6.QtGui import QTextDocument

from app.widgets.plain_tip import plain_tip

pytestmark = pytest.mark.gui


@pytest.mark.parametrize(
    "text", ["<img src='file:///etc/passwd'>.mp4", "<b>a</b> & b", "film.mp4", "1 < 2", "", "a\nb"]
)
def test_a_tip_shows_the_text_itself(text: str) -> None:
    tip = plain_tip(text)
    if "<" not in text and "&" not in text:
        assert tip == text
        return
    document = QTextDocument()
    document.setHtml(tip)
    assert document.toPlainText() == text
