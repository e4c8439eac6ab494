import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from engines.errors import CheckpointError
from export.prompt_facts import (
    SYSTEM_PROMPT,
    check_template,
    check_vocabulary,
    eos_token_ids,
    read_generation,
    read_prompt,
    write_tokenizer,
)


def test_system_prompt_is_the_published_one_to_the_letter() -> None:
    digest = hashlib.sha256(SYSTEM_PROMPT.encode()).hexdigest()
    assert digest == "49223af9a1617ae999463de0b211dbe51de0570d32f6dfa307e69b6ddfeb8c97"
    assert len(SYSTEM_PROMPT) == 524


def test_mistral_prompt(mistral: Path, tmp_path: Path) -> None:
    tokenizer = write_tokenizer(mistral, tmp_path / "tokenizer.json")
    prompt = read_prompt(mistral, "mistral", tokenizer)
    assert prompt.system_prompt == SYSTEM_PROMPT
    assert prompt.special_tokens == {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    assert prompt.pad_token_id == 0  # the unknown token, as upstream pads
    assert eos_token_ids(mistral, prompt.special_tokens, tokenizer) == (2,)
    assert (tmp_path / "tokenizer.json").read_bytes() == (mistral / "tokenizer.json").read_bytes()


def test_qwen2_prompt_has_no_system_prompt_of_ours(qwen2_av: Path, tmp_path: Path) -> None:
    tokenizer = write_tokenizer(qwen2_av, tmp_path / "tokenizer.json")
    prompt = read_prompt(qwen2_av, "qwen2", tokenizer)
    assert prompt.system_prompt is None
    assert prompt.pad_token_id == tokenizer.token_to_id("<|endoftext|>")


def test_template_from_its_own_file_or_from_a_list(mistral: Path, tmp_path: Path) -> None:
    tokenizer = write_tokenizer(mistral, tmp_path / "tokenizer.json")
    path = mistral / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = [
        {"name": "tool_use", "template": "t"},
        {"name": "default", "template": "d"},
    ]
    config["bos_token"] = {"content": "<s>", "lstrip": False}
    path.write_text(json.dumps(config))
    prompt = read_prompt(mistral, "mistral", tokenizer)
    assert prompt.chat_template == "d"
    assert prompt.special_tokens["bos_token"] == "<s>"
    (mistral / "chat_template.jinja").write_text("j")
    assert read_prompt(mistral, "mistral", tokenizer).chat_template == "j"
    (mistral / "chat_template.jinja").unlink()
    config["chat_template"] = None
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="has no chat_template"):
        read_prompt(mistral, "mistral", tokenizer)


def test_sampling_settings_are_the_checkpoints(mistral: Path) -> None:
    plain = read_generation(mistral)
    assert (plain.do_sample, plain.top_k, plain.repetition_penalty) == (False, 50, 1.0)
    settings = {
        "do_sample": True,
        "repetition_penalty": 1.05,
        "top_k": 20,
        "temperature": 0.7,
        "eos_token_id": [7, 2],
    }
    (mistral / "generation_config.json").write_text(json.dumps(settings))
    own = read_generation(mistral)
    # The reference passes do_sample, temperature and top_p itself; the rest is the checkpoint's.
    assert (own.do_sample, own.temperature, own.top_p) == (False, 0.2, 0.9)
    assert (own.top_k, own.repetition_penalty) == (20, 1.05)
    tokenizer = write_tokenizer(mistral, mistral / "copy.json")
    assert eos_token_ids(mistral, {"eos_token": "</s>"}, tokenizer) == (7, 2)


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (None, 0), (7, 7)])
def test_top_k_may_be_switched_off(mistral: Path, given: int | None, kept: int) -> None:
    (mistral / "generation_config.json").write_text(json.dumps({"top_k": given}))
    assert read_generation(mistral).top_k == kept
    (mistral / "generation_config.json").unlink()
    assert read_generation(mistral).top_k == 50


@pytest.mark.parametrize("change", [{"top_k": "x"}, {"repetition_penalty": -1}])
def test_sampling_settings_that_make_no_sense(mistral: Path, change: dict[str, Any]) -> None:
    (mistral / "generation_config.json").write_text(json.dumps(change))
    with pytest.raises(CheckpointError, match=r"In .*generation_config\.json the key"):
        read_generation(mistral)


@pytest.mark.parametrize("template", ["{% if %}", "", "hello", "{{ raise_exception('no') }}"])
def test_chat_templates_that_take_no_video(mistral: Path, tmp_path: Path, template: str) -> None:
    tokenizer = write_tokenizer(mistral, tmp_path / "tokenizer.json")
    (mistral / "chat_template.jinja").write_text(template)
    prompt = read_prompt(mistral, "mistral", tokenizer)
    with pytest.raises(CheckpointError, match="takes no question about a video"):
        check_template(prompt, "What is it?", mistral)


def test_text_files_that_are_not_text(mistral: Path, tmp_path: Path) -> None:
    tokenizer = write_tokenizer(mistral, tmp_path / "tokenizer.json")
    (mistral / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja cannot be read"):
        read_prompt(mistral, "mistral", tokenizer)
    (mistral / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        write_tokenizer(mistral, tmp_path / "again.json")


def test_tokenizer_of_vocabulary_and_merges_is_converted(qwen2_av: Path, tmp_path: Path) -> None:
    whole = json.loads((qwen2_av / "tokenizer.json").read_text())["model"]
    (qwen2_av / "tokenizer.json").unlink()
    (qwen2_av / "vocab.json").write_text(json.dumps(whole["vocab"]))
    merges = [" ".join(m) if isinstance(m, list) else m for m in whole["merges"]]
    (qwen2_av / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges))
    path = qwen2_av / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"tokenizer_class": "Qwen2Tokenizer"}
    path.write_text(json.dumps(config))
    tokenizer = write_tokenizer(qwen2_av, tmp_path / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode("What do you hear?").ids) == "What do you hear?"
    assert tokenizer.token_to_id("<|im_end|>") == 2


def test_no_tokenizer_at_all(mistral: Path, tmp_path: Path) -> None:
    (mistral / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json, and none could be made"):
        write_tokenizer(mistral, tmp_path / "tokenizer.json")
    (mistral / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is not a tokenizer"):
        write_tokenizer(mistral, tmp_path / "tokenizer.json")


def test_a_tokenizer_with_more_words_than_the_model(mistral: Path, tmp_path: Path) -> None:
    tokenizer = write_tokenizer(mistral, tmp_path / "tokenizer.json")
    check_vocabulary(tokenizer, 356, mistral)
    with pytest.raises(CheckpointError, match=r"gives ids up to 3[0-9]+, but .* vocab_size of 300"):
        check_vocabulary(tokenizer, 300, mistral)
