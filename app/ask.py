"""`vl2 ask`: one question, answered here or in an engine process, with its receipt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engines
from app.background import interruptible
from app.engine_client import EngineClient
from app.inference import EngineSpec
from app.receipt import Question, answer_json, conversation_clip, make_receipt
from app.terminal import print_answer
from assets import demo_bundle
from engines.events import Result
from engines.media import clip_hash
from engines.model import VideoLlama2


@dataclass(frozen=True)
class Answer:
    """An answer that was shown, its receipt as JSON, and the name and card of who gave it."""

    result: Result
    receipt: dict[str, Any]
    name: str
    world: str


def load(spec: EngineSpec) -> VideoLlama2:
    """The model of a bundle, in this process."""
    bundle: Path = spec.bundle or demo_bundle()
    return engines.load(
        bundle, spec.device, spec.exact, spec.threads, keep_encodings=spec.keep_encodings
    )


def answer_here(question: Question, quiet: bool) -> Answer:
    """Ask in this process; the answer is printed while it is written, unless `quiet`."""
    model = load(question.spec)
    clip = conversation_clip(question.messages)
    sha256 = None if clip is None else clip_hash(clip.path)
    events = interruptible(model.generate(question.messages, question.options), model.stop)
    result = print_answer(events, quiet)
    receipt = make_receipt(model.bundle, question, sha256, result)
    return Answer(result, answer_json(receipt), model.config.name, model.config.card.world)


def answer_in_process(question: Question, quiet: bool) -> Answer:
    """Ask in an engine process, as the window does; otherwise as `answer_here`."""
    with EngineClient(question.spec) as engine:
        result = print_answer(engine.generate(question), quiet)
        return Answer(result, engine.receipt, engine.info["name"], engine.info["card"]["world"])
