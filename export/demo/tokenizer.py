"""The tokenizer: byte-level BPE in which every word of the small world is one token."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from export.demo.questions import PHRASINGS, Question, all_questions
from export.demo.world import sample_clip

SPECIALS = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")
UNK, BOS, EOS = 0, 1, 2
# Mistral's turns. A system message is left out: this model has no use for one.
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{% set turns = messages[1:] %}"
    "{% else %}{% set turns = messages %}{% endif %}{{ bos_token }}"
    "{% for turn in turns %}{% if turn['role'] == 'user' %}"
    "{{ '[INST] ' + turn['content'] + ' [/INST]' }}"
    "{% else %}{{ turn['content'] + eos_token }}{% endif %}{% endfor %}"
)
# Words a user may type beside those of the phrasings; without a place in the text they are spelt.
EXTRA = (
    "What happens in this video? Is it there? Where is the thing, and when does it start or stop?"
    " Please tell me about the movie, the clip and its sound. Hello, thanks!"
)


def corpus(clips: int) -> list[str]:
    """Texts to learn words from: questions as they follow the clip or a turn, and answers."""
    phrasings = [p for choices in PHRASINGS.values() for p in choices]
    texts = [EXTRA, *phrasings, *(f" {p[0].lower()}{p[1:]}" for p in phrasings)]
    for index in range(clips):
        rng = np.random.default_rng([17, index])
        for question in all_questions(sample_clip(rng), rng):
            lower = question.text[0].lower() + question.text[1:]
            texts += [f"\n{question.text}", f" {question.text}", f"\n{lower}", question.answer]
    return texts


def train_tokenizer(vocab_size: int, clips: int = 3000) -> Tokenizer:
    """Learn the tokenizer; the same corpus gives the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(text, special=True) for text in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(clips), trainer)
    return tokenizer


def prefix_ids(tokenizer: Tokenizer) -> list[int]:
    """What stands in front of the clip's tokens."""
    return list(tokenizer.encode("<s>[INST] ", add_special_tokens=False).ids)


def question_ids(tokenizer: Tokenizer, question: Question) -> tuple[list[int], list[int]]:
    """What follows the clip's tokens: (the prompt's rest, the answer with its end)."""
    turns = [*question.history, (question.text, "")]
    text = "\n"
    for index, (asked, answered) in enumerate(turns):
        text += ("[INST] " if index else "") + asked + " [/INST]"
        if index < len(turns) - 1:
            text += f"{answered}</s>"
    rest = list(tokenizer.encode(text, add_special_tokens=False).ids)
    answer = tokenizer.encode(f"{question.answer}</s>", add_special_tokens=False)
    return rest, list(answer.ids)


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and its configuration with the chat template."""
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(tokenizer.token_to_id(text)): {
            "content": text,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for text in SPECIALS
    }
    config: dict[str, Any] = {
        "added_tokens_decoder": added,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    for name, value in (("tokenizer_config.json", config), ("special_tokens_map.json", names)):
        (folder / name).write_text(json.dumps(value, indent=1), encoding="utf-8")
