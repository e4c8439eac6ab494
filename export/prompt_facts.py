"""What the bundle needs to know of a checkpoint's text side: tokenizer, chat template, sampling."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from engines.config import GenerationConfig, PromptConfig
from engines.errors import BundleError, CheckpointError, PromptError
from engines.messages import Turn
from engines.prompt import prompt_ids, render_prompt
from export.keys import Keys
from export.tensors import file_exists, read_json

# Upstream puts the Llama 2 default prompt in front for these kinds of decoder, with these very
# spaces and line breaks; the models were trained with it.
SYSTEM_PROMPT_KINDS = ("mistral", "mixtral")
SYSTEM_PROMPT = (
    "<<SYS>>\n"
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible,"
    " while being safe.  Your answers should not include any harmful, unethical, racist, sexist,"
    " toxic, dangerous, or illegal content. Please ensure that your responses are socially"
    " unbiased and positive in nature.\n"
    "If a question does not make any sense, or is not factually coherent, explain why instead of"
    " answering something not correct. If you don't know the answer to a question, please don't"
    " share false information.\n"
    "<</SYS>>"
)
SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")
# What the reference samples with when it is asked to; greedy is its default.
TEMPERATURE, TOP_P = 0.2, 0.9
GENERATION = "generation_config.json"
# transformers' own default, in force where generation_config.json is silent.
TOP_K = 50


def write_tokenizer(folder: Path, target: Path) -> tokenizers.Tokenizer:
    """Write the checkpoint's tokenizer to `target` in the tokenizers library's format.

    Raises:
        CheckpointError: there is none that can be read.
    """
    source = folder / "tokenizer.json"
    text = _read_text(source) if file_exists(source) else _converted(folder)
    try:
        tokenizer = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # The library raises nothing narrower.
        raise CheckpointError(
            f"{source} is not a tokenizer ({error}); fetch the checkpoint again."
        ) from error
    target.write_text(text, encoding="utf-8")
    return tokenizer


def check_vocabulary(tokenizer: tokenizers.Tokenizer, rows: int, folder: Path) -> None:
    """Refuse a tokenizer that gives ids the embeddings have no row for.

    Raises:
        CheckpointError: it does.
    """
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= rows:
        raise CheckpointError(
            f"The tokenizer in {folder} gives ids up to {largest}, but config.json has a vocab_size"
            f" of {rows}; use the checkpoint's own tokenizer files."
        )


def _converted(folder: Path) -> str:
    """Make a tokenizer.json of an older tokenizer (tokenizer.model, or vocabulary and merges)."""
    from transformers import AutoTokenizer  # Slow, rarely needed.

    try:
        slow = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        text: str = slow.backend_tokenizer.to_str()
    except (OSError, ValueError, ImportError, AttributeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{folder} has no tokenizer.json, and none could be made of its other files"
            f" ({reason}); save the tokenizer with transformers as tokenizer.json beside them."
        ) from error
    return text


def read_prompt(folder: Path, kind: str, tokenizer: tokenizers.Tokenizer) -> PromptConfig:
    """Read chat template and special tokens.

    Raises:
        CheckpointError: there is no chat template.
    """
    config = read_json(folder / "tokenizer_config.json")
    special = _special_tokens(folder, config)
    # Upstream pads with the unknown token where no other is set.
    pad = special.get("pad_token", special.get("unk_token"))
    return PromptConfig(
        chat_template=_chat_template(folder, config),
        system_prompt=SYSTEM_PROMPT if kind in SYSTEM_PROMPT_KINDS else None,
        special_tokens=special,
        pad_token_id=None if pad is None else tokenizer.token_to_id(pad),
    )


def check_template(prompt: PromptConfig, question: str, folder: Path) -> None:
    """Refuse a chat template that takes no question about a video, before the long work.

    Raises:
        CheckpointError: it does not.
    """
    try:
        prompt_ids(render_prompt([Turn("user", question)], "video", prompt), "video", lambda _: [])
    except (BundleError, PromptError) as error:
        reason = error.__cause__ or "it drops the clip"
        raise CheckpointError(
            f"The chat template in {folder} takes no question about a video ({reason}); use"
            " the checkpoint's own tokenizer files."
        ) from error


def read_generation(folder: Path) -> GenerationConfig:
    """Read sampling settings: the checkpoint's, under what the reference always passes itself."""
    keys = Keys(_generation(folder), folder / GENERATION)
    # Both 0 and null keep every token.
    top_k = keys.data.get("top_k", TOP_K) or 0
    return GenerationConfig(
        do_sample=False,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        top_k=keys.integer("top_k", TOP_K) if top_k else 0,
        repetition_penalty=keys.number("repetition_penalty", 1.0),
    )


def eos_token_ids(
    folder: Path, special: Mapping[str, str], tokenizer: tokenizers.Tokenizer
) -> tuple[int, ...]:
    """Return every token that ends an answer: generation_config's, config's and the tokenizer's.

    Raises:
        CheckpointError: there is none.
    """
    found: list[int] = []
    config = folder / "config.json"
    for data in (_generation(folder), read_json(config) if config.is_file() else {}):
        value = data.get("eos_token_id")
        listed = value if isinstance(value, list) else [value]
        found += [token for token in listed if type(token) is int]
    # Upstream stops on the tokenizer's own end token as well, whatever the configuration says.
    own = tokenizer.token_to_id(special["eos_token"]) if "eos_token" in special else None
    found += [] if own is None else [own]
    if not found:
        raise CheckpointError(f"{config} names no eos_token_id; use the checkpoint's own files.")
    return tuple(dict.fromkeys(found))


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / GENERATION
    return read_json(path) if path.is_file() else {}


def _special_tokens(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    path = folder / "special_tokens_map.json"
    mapping = read_json(path) if path.is_file() else {}
    found = {}
    for name in SPECIAL_TOKENS:
        value = config.get(name) or mapping.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[name] = value
    return found


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return _read_text(path)
    template = config.get("chat_template")
    if isinstance(template, list):
        # Several named templates; the unnamed purpose is called "default".
        named = {str(t.get("name")): t.get("template") for t in template if isinstance(t, dict)}
        template = named.get("default")
    if not isinstance(template, str):
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'} has no chat_template, and there is no"
            " chat_template.jinja; use the checkpoint's own tokenizer files."
        )
    return template


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); fetch the checkpoint again."
        ) from error
