"""`vl2 chat`: a conversation about one clip, on a terminal or through a pipe."""

import sys
from contextlib import closing

from app.background import interruptible, still_working
from app.terminal import known_world, print_answer, say, statistics
from engines.config import ClipOptions
from engines.errors import PromptError
from engines.messages import Message, clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions


def talk(model: VideoLlama2, clip: ClipOptions, options: GenerateOptions) -> None:
    """Read questions from stdin and answer them until an empty line or the end of input.

    The clip is read and encoded for the first question; the later ones cost their own words.
    """
    if world := known_world(model.config.name, model.config.card.world):
        say(world)
    messages: list[Message] = []
    told: tuple[str, ...] = ()
    while question := _read_question():
        asked = [*messages, _turn(clip, question, first=not messages)]
        try:
            with closing(interruptible(model.generate(asked, options), model.stop)) as events:
                result = print_answer(events)
        except KeyboardInterrupt:
            if still_working():
                raise  # nothing else can be asked meanwhile
            say("\nStopped; the question is not kept.")
            continue
        except PromptError as error:
            say(f"vl2: {error}")
            continue
        messages = [*asked, {"role": "assistant", "content": result.answer}]
        for note in result.coverage.notes:
            if note not in told:
                say(note)
        told = result.coverage.notes
        say(statistics(result))


def _turn(clip: ClipOptions, question: str, first: bool) -> Message:
    return clip_message(clip, question) if first else {"role": "user", "content": question}


def _read_question() -> str:
    if sys.stdin.isatty():
        print("\n> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
