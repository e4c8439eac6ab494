"""A window that asks one question after another, and prints every answer that it has written down.

For `kills`: it is killed in the middle.
"""

import itertools
import json
import sys

from PySide6.QtWidgets import QApplication

from app.conversation import Turn
from app.widgets.window import MainWindow
from app.window_main import make_window
from assets import demo_clips

CLIP = demo_clips() / "bounce.mp4"


def main() -> None:
    """Ask until killed."""
    app = QApplication(sys.argv[:1])
    lines = (demo_clips() / "questions.jsonl").read_text().splitlines()
    found = [one for one in map(json.loads, lines) if one["clip"] == CLIP.name]
    questions = itertools.cycle(one["question"] for one in found if "history" not in one)
    window = make_window(app)
    window.show()
    window.start(CLIP)
    window.clip_work.opened.connect(lambda _: begin(window, next(questions)))
    window.talk.ended.connect(lambda turn, *_: go_on(window, turn, next(questions)))
    app.exec()


def begin(window: MainWindow, question: str) -> None:
    """The clip is taken in: from now on there is something to lose."""
    print("ready", flush=True)
    window.talk.new_conversation()
    window.talk.ask(question)


def go_on(window: MainWindow, turn: int, question: str) -> None:
    """Tell the answer, ask the next."""
    conversation = window.talk.conversation
    if conversation is not None:
        (ended,) = (one for one in conversation.turns if one.id == turn)
        tell(ended)
    window.talk.new_conversation()
    window.talk.ask(question)


def tell(turn: Turn) -> None:
    """One line a finished answer."""
    if turn.status == "done":
        print(json.dumps([turn.question, turn.answer]), flush=True)


if __name__ == "__main__":
    main()
