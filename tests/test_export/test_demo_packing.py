import json

import numpy as np
import pytest
import torch
from jinja2 import Environment
from torch.nn import functional as F

from export.demo.attention import PlainAttention, attend
from export.demo.joint import forward, place_loss, token_times
from export.demo.mixing import Item
from export.demo.network import JointModel, Sizes, connector, initialise
from export.demo.packing import Packed, Packer, attention_mask, layout
from export.demo.questions import Question, all_questions
from export.demo.tokenizer import (
    CHAT_TEMPLATE,
    prefix_ids,
    question_ids,
    train_tokenizer,
    write_tokenizer,
)
from export.demo.world import sample_clip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(640, clips=200)


@pytest.fixture(scope="module")
def asked():
    rng = np.random.default_rng(1)
    return all_questions(sample_clip(rng), rng)


def test_the_template_and_the_training_ids_agree(tokenizer, asked):
    template = Environment(autoescape=False).from_string(CHAT_TEMPLATE)
    for question in asked:
        turns = [*question.history, (question.text, None)]
        messages = [{"role": "system", "content": "ignored"}]
        for index, (text, said) in enumerate(turns):
            content = text if index else f"<video>\n{text}"
            messages.append({"role": "user", "content": content})
            if said:
                messages.append({"role": "assistant", "content": said})
        prompt = template.render(messages=messages, bos_token="<s>", eos_token="</s>")
        before, after = prompt.split("<video>")
        assert prefix_ids(tokenizer) == tokenizer.encode(before).ids
        rest, answer = question_ids(tokenizer, question)
        assert rest == tokenizer.encode(after).ids
        assert tokenizer.decode(answer) == question.answer
        whole = tokenizer.encode(f"{after}{question.answer}</s>").ids
        assert whole == rest + answer


def test_words_of_the_world_are_single_tokens_and_other_text_is_spelt(tokenizer, tmp_path):
    for word in (" red", " triangle", " bounces", "\n", "What", " What"):
        assert len(tokenizer.encode(word).ids) == 1
    assert tokenizer.decode(tokenizer.encode("Grüße, 你好!").ids) == "Grüße, 你好!"
    write_tokenizer(tokenizer, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["chat_template"] == CHAT_TEMPLATE


def test_plain_attention_is_attention():
    q, k, v = torch.randn(3, 2, 4, 5, 8).unbind()
    mask = torch.randn(2, 1, 5, 5)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert torch.allclose(attend(q, k, v, mask), expected, atol=1e-5)
    with PlainAttention():
        inside = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert torch.allclose(inside, expected, atol=1e-5)


def test_a_place_sees_the_prefix_and_its_own_question():
    group = torch.tensor([[0, -1, 0, 1, 1, 2]])
    mask = attention_mask(group)[0, 0].int()
    assert mask[5].tolist() == [1, 0, 1, 0, 0, 1]
    assert mask[4].tolist() == [1, 0, 1, 1, 1, 0]
    assert mask[0].tolist() == [1, 0, 0, 0, 0, 0]
    assert mask[1, 1] == 1


@pytest.mark.parametrize(("picture", "sound"), [(0, 0), (0, -1), (-1, 0)])
def test_a_packed_question_is_answered_as_by_itself(tokenizer, asked, picture, sound):
    sizes = Sizes(hidden_size=64, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2)
    torch.manual_seed(0)
    model = JointModel(sizes)
    initialise(model)
    slices, height, width = sizes.visual_grid
    audio = sizes.audio_slots * sizes.audio_bands
    packer = Packer(tokenizer, layout(tokenizer, slices * height * width, audio))
    clips = torch.randn(1, 8, 49, sizes.vision.hidden_size)
    sounds = torch.randn(1, audio, sizes.audio.encoder_embed_dim)

    def logits(questions: list[Question], room: int | None = None) -> torch.Tensor:
        packed = packer.pack([Item(picture, sound, None, questions)], room)
        with torch.no_grad():
            return forward(model, packer.places, packed, clips, sounds).logits

    together = logits(asked[:3], room=120)
    alone = torch.cat([logits([question]) for question in asked[:3]])
    assert torch.allclose(together, alone, atol=0.05 * float(alone.abs().max()))


def test_questions_without_room_are_left_out(tokenizer, asked):
    packer = Packer(tokenizer, layout(tokenizer, 4, 2))
    packed = packer.pack([Item(0, 0, None, asked)], room=40)
    assert 0 < len(packed.items[0].questions) < len(asked)
    assert packed.ids.shape == (1, packer.places.length + 40)


def test_slices_name_the_frames_that_their_tokens_see():
    assert Sizes().slices == ((0,), (1, 2), (3, 4), (5, 6), (7,))
    assert Sizes(num_frames=4).slices == ((0,), (1, 2), (3,))
    assert Sizes(num_frames=4, pooled=True).slices == ((0,), (1,), (2,), (3,))


@pytest.mark.parametrize(("pooled", "slices"), [(False, 5), (True, 8)])
def test_the_pooled_connector_has_a_slice_of_tokens_for_every_frame(pooled, slices):
    sizes = Sizes(pooled=pooled, connector_depth=1)
    assert sizes.visual_grid == (slices, 4, 4) == (len(sizes.slices), 4, 4)
    features = torch.randn(1, 8, 49, sizes.vision.hidden_size)
    other = features.clone()
    other[:, 3] += 1.0
    made = connector(sizes).eval()
    with torch.no_grad():
        tokens, changed = made(features), made(other)
    assert tokens.shape == (1, slices * 16, sizes.hidden_size)
    differ = (tokens != changed).unflatten(1, (slices, 16)).any(-1).any(-1)[0]
    # A changed frame is seen in its own slice and in no other.
    assert differ.nonzero().flatten().tolist() == [3 if pooled else 2]


def test_each_token_s_time():
    times = token_times(Sizes())
    assert times[:80].tolist() == [s for s in range(5) for _ in range(16)]
    assert times[80:].tolist() == [5 + step for step in range(12) for _ in range(4)]


def test_the_loss_of_places_is_the_mean_over_the_tokens_that_are_there():
    # One place of text, two visual tokens, one audio token, two places of questions.
    group = torch.tensor([[0, 0, 0, -1, 1, 1], [0, 0, 0, 0, 1, -1]])
    none = torch.zeros(2, 6, dtype=torch.int64)
    packed = Packed([], none, group, none, none, torch.zeros(2, dtype=torch.int64), room=2)
    said = torch.zeros(2, 3, 3)
    said[0, 2] = 100.0 * torch.tensor([1.0, 0.0, 0.0])  # wrong, but no sound is there
    assert torch.isclose(
        place_loss(said, packed, torch.tensor([0, 1, 2])), torch.log(torch.tensor(3.0))
    )
    said[1, 2] = torch.tensor([0.0, 0.0, 100.0])
    expected = torch.log(torch.tensor(3.0)) * 4 / 5
    assert torch.isclose(place_loss(said, packed, torch.tensor([0, 1, 2])), expected)
