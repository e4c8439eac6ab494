"""A conversation to prompt text to token ids, as upstream builds them; knows no file and no model.

The checkpoint's own chat template lays out the turns (`engines.chat_template`).
"""

from collections.abc import Callable, Sequence

import jinja2
import numpy as np
from numpy.typing import NDArray

from engines.chat_template import render
from engines.config import PromptConfig
from engines.errors import BundleError, PromptError
from engines.messages import Modal, Turn
from engines.template_payments import Refused

PLACEHOLDER_IDS: dict[Modal, int] = {"image": -200, "video": -201, "audio": -202}
MAX_PROMPT_CHARS = 1 << 20


def render_prompt(
    turns: Sequence[Turn], modal: Modal | None, config: PromptConfig, file: object = "the bundle"
) -> str:
    """The prompt text, with the clip's placeholder written out.

    Args:
        turns: the conversation.
        modal: the kind of clip it is about.
        config: the template, and what it may name.
        file: where the template comes from, for the sentences.

    Raises:
        PromptError: the chat template does not take the conversation.
        BundleError: the chat template itself is broken, or refused for what it does.
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
    return _apply_template(rendered, config, file)


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


def _apply_template(messages: list[dict[str, str]], config: PromptConfig, file: object) -> str:
    values = {"messages": messages, "add_generation_prompt": True, **config.special_tokens}
    found: list[str] = []
    size = 0
    try:
        for piece in render(config.chat_template, values):
            size += len(piece)
            if size > MAX_PROMPT_CHARS:
                raise PromptError(
                    f"The prompt is longer than {MAX_PROMPT_CHARS} characters; shorten the"
                    " question or start a new conversation."
                )
            found.append(piece)
    except Refused as error:
        raise BundleError(
            f"The chat template in {file} is refused ({error}); use a bundle of somebody you trust."
        ) from error
    except jinja2.TemplateAssertionError as error:
        raise BundleError(
            f"The chat template in {file} uses what is not known here ({error.message}); use"
            " another bundle, or ask the maintainers for it."
        ) from error
    except jinja2.TemplateSyntaxError as error:
        raise BundleError(
            f"The chat template in {file} is broken ({error.message}); export the bundle again."
        ) from error
    except jinja2.TemplateError as error:
        raise PromptError(
            f"The chat template in {file} does not take this conversation ({error}); start a new"
            " one."
        ) from error
    text = "".join(found)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BundleError(
            f"The chat template in {file} writes halves of characters; export the bundle again."
        ) from error
    return text
