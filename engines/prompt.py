"""A conversation to prompt text to token ids, as upstream builds them; knows no file and no model.

The checkpoint's own chat template lays out the turns, in a sandbox: a bundle is data from somebody
else.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import numpy as np
from jinja2.ext import loopcontrols
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from numpy.typing import NDArray

from engines.config import PromptConfig
from engines.errors import BundleError, PromptError
from engines.messages import Modal, Turn

PLACEHOLDER_IDS: dict[Modal, int] = {"image": -200, "video": -201, "audio": -202}
MAX_PROMPT_CHARS = 1 << 20
MAX_LOOPS = 100_000
_TEMPLATE_ERRORS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    RecursionError,
)


def render_prompt(turns: Sequence[Turn], modal: Modal | None, config: PromptConfig) -> str:
    """The prompt text, with the clip's placeholder written out.

    Raises:
        PromptError: the chat template refuses the conversation.
        BundleError: the chat template itself is broken.
    """
    rendered = []
    if config.system_prompt is not None and turns[0].role != "system":
        rendered.append({"role": "system", "content": config.system_prompt})
    placed = False
    for turn in turns:
        text = turn.text
        if turn.role == "user" and not placed:
            # Upstream writes the line break even where there is no placeholder before it.
            text = (f"<{modal}>" if modal else "") + "\n" + text
            placed = True
        rendered.append({"role": turn.role, "content": text})
    return _apply_template(rendered, config)


def prompt_ids(
    prompt: str, modal: Modal | None, encode: Callable[[str], list[int]]
) -> NDArray[np.int64]:
    """Token ids (L,), the placeholder as its negative id.

    The texts before and after the placeholder are tokenised apart, as upstream does; tokenising
    the whole string would give other ids at the seam.
    """
    if modal is None:
        return np.asarray(encode(prompt), np.int64)
    before, found, after = prompt.partition(f"<{modal}>")
    if not found:
        raise BundleError("The bundle's chat template drops the clip; export the bundle again.")
    return np.asarray([*encode(before), PLACEHOLDER_IDS[modal], *encode(after)], np.int64)


def _apply_template(messages: list[dict[str, str]], config: PromptConfig) -> str:
    try:
        template = _compiled(config.chat_template)
    except jinja2.TemplateError as error:
        raise BundleError(
            f"The bundle's chat template is broken ({error}); export the bundle again."
        ) from error
    pieces: list[str] = []
    size = 0
    try:
        stream = template.generate(
            messages=messages,
            add_generation_prompt=True,
            range=_bounded_range(),
            **config.special_tokens,
        )
        for piece in stream:
            size += len(piece)
            if size > MAX_PROMPT_CHARS:
                raise PromptError(
                    f"The prompt is longer than {MAX_PROMPT_CHARS} characters; shorten the"
                    " question or start a new conversation."
                )
            pieces.append(piece)
    except _TEMPLATE_ERRORS as error:
        raise PromptError(
            f"The model's chat template does not take this conversation ({error}); start a new one."
        ) from error
    return "".join(pieces)


@lru_cache(maxsize=4)
def _compiled(source: str) -> jinja2.Template:
    """Compiling takes longer than a follow-up question's few tokens do."""
    return _environment().from_string(source)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which one operator cannot fill the memory either."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise jinja2.TemplateError(f"it uses the operator {operator}")
        if operator == "*" and _extent(left) * _extent(right) > MAX_PROMPT_CHARS:
            raise jinja2.TemplateError("it multiplies too far")
        return super().call_binop(context, operator, left, right)


def _extent(value: Any) -> float:
    return abs(value) if isinstance(value, int | float) else len(value)


def _environment() -> ImmutableSandboxedEnvironment:
    # The settings and helpers that Hugging Face's templates are written for.
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    del environment.globals["lipsum"]  # text of any length from one call
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    del environment.globals["range"]  # each rendering brings its own, which counts
    return environment


def _bounded_range() -> Callable[..., range]:
    # The sandbox bounds one range; loops inside loops would still never end.
    left = MAX_LOOPS

    def bounded(*limits: int) -> range:
        nonlocal left
        numbers = range(*limits)
        left -= len(numbers)
        if left < 0:
            raise jinja2.TemplateError("it counts too far")
        return numbers

    return bounded


def _tojson(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=min(indent, 16) if indent else indent)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)
