"""Clips and conversations through the public API, on the tiny bundle and media that are names."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines.config import ClipOptions
from engines.errors import BundleError, Cancelled, MediaError, PromptError
from engines.events import Progress, Result, TextPiece
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions

SHORT = GenerateOptions(max_new_tokens=6)
FILM = ClipOptions(Path("film.mp4"))


@pytest.fixture
def model(tiny_bundle: Path, fake_media: Any) -> VideoLlama2:
    return engines.load(tiny_bundle, threads=1)


@pytest.fixture
def deaf(deaf_bundle: Path, fake_media: Any) -> VideoLlama2:
    return engines.load(deaf_bundle, threads=1)


def ask(model: VideoLlama2, messages: Any, options: GenerateOptions = SHORT) -> Result:
    *_, result = model.generate(messages, options)
    assert isinstance(result, Result)
    return result


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def test_the_events_of_an_answer(model: VideoLlama2) -> None:
    events = list(model.generate([clip_message(FILM, "Who?")], SHORT))
    *before, result = events
    assert isinstance(result, Result)
    stages = [event.stage for event in before if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == ["media", "load", "vision", "audio", "prefill"]
    pieces = [event for event in before if isinstance(event, TextPiece)]
    assert "".join(piece.text for piece in pieces) == result.answer
    assert tuple(piece.token_id for piece in pieces) == result.token_ids
    assert result.finish_reason == "length"
    assert len(result.token_ids) == result.usage.new_tokens == 6
    assert result.device == "cpu"
    assert result.bundle == model.bundle.id
    assert result.coverage.frame_times_s == (0.0, 0.25, 0.5, 0.75)
    assert result.coverage.sound_spans_s == ((0.0, 0.5), (0.5, 1.0))
    assert result.timing.first_token_s > result.timing.prefill_s > 0


def test_usage_adds_up(model: VideoLlama2) -> None:
    usage = ask(model, [clip_message(FILM, "Who?")]).usage
    assert (usage.visual_tokens, usage.audio_tokens) == (4 * 4, 2 * 5)
    assert usage.prompt_tokens == usage.text_tokens + 16 + 10
    assert usage.text_tokens == len(model.prompt_ids([user("<video>\nWho?")])) - 1


def test_the_prompt_is_text_then_picture_then_sound_then_text(model: VideoLlama2) -> None:
    encoding = model.encode(FILM)
    ids = model.prompt_ids([user("<video>\nWho?")])
    at = int(np.flatnonzero(ids == -201)[0])
    expected = np.concatenate(
        [model.embed(ids[:at]), encoding.visual_tokens, encoding.audio_tokens, model.embed(ids[at + 1 :])]  # type: ignore[list-item]  # noqa: E501
    )  # fmt: skip
    first = int(np.argmax(model.next_logits(expected[None])))
    assert ask(model, [clip_message(FILM, "Who?")]).token_ids[0] == first


def test_a_refused_chat_template_is_named_by_its_file(model: VideoLlama2) -> None:
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    prompt = dataclasses.replace(model.config.prompt, chat_template=endless)
    model.config = dataclasses.replace(model.config, prompt=prompt)
    for asked in (model.prompt_text, model.prompt_ids, lambda turns: ask(model, turns)):
        with pytest.raises(BundleError, match=r"manifest\.json is refused \("):
            asked([user("Hello")])


def test_greedy_answers_agree_with_the_stateless_path(model: VideoLlama2) -> None:
    ids = model.prompt_ids([user("Hello")])
    expected = []
    for _ in range(6):
        token = int(np.argmax(model.next_logits(model.embed(ids)[None])))
        expected.append(token)
        ids = np.append(ids, token)
    assert ask(model, [user("Hello")]).token_ids == tuple(expected)


def test_next_logits_leaves_the_conversation_alone(model: VideoLlama2) -> None:
    messages = [clip_message(FILM, "Who?")]
    first = ask(model, messages)
    model.next_logits(np.ones((1, 30, 64), np.float32))
    assert ask(model, messages).token_ids == first.token_ids


def test_a_second_question_costs_only_its_own_words(model: VideoLlama2, fake_media: Any) -> None:
    first = ask(model, [clip_message(FILM, "Who?")])
    before = dataclasses.replace(model.counters)
    messages = [clip_message(FILM, "Who?"), assistant(first.answer), user("Why?")]
    second = ask(model, messages)
    assert fake_media.read == ["pictures of film.mp4", "sound of film.mp4"]
    assert model.counters.clips_encoded == 1
    assert model.counters.frames_encoded == before.frames_encoded == 4
    assert model.counters.sound_windows_encoded == before.sound_windows_encoded == 2
    assert model.counters.encodings_reused == 1
    spared = model.counters.positions_reused - before.positions_reused
    assert spared >= first.usage.prompt_tokens
    computed = model.counters.positions_prefilled - before.positions_prefilled
    assert computed == second.usage.prompt_tokens - spared
    fresh = engines.load(model.bundle.path, threads=1, keep_encodings=False)
    assert ask(fresh, messages).token_ids == second.token_ids


def test_a_clip_can_be_read_while_the_question_is_written(model: VideoLlama2) -> None:
    stages = [event.stage for event in model.begin(FILM)]
    assert stages[-1] == "prefill"
    begun = model.counters.positions_prefilled
    assert begun > 26
    result = ask(model, [clip_message(FILM, "Who?")])
    assert model.counters.positions_reused == begun
    assert model.counters.clips_encoded == 1
    fresh = engines.load(model.bundle.path, threads=1, keep_encodings=False)
    assert ask(fresh, [clip_message(FILM, "Who?")]).token_ids == result.token_ids


def test_another_first_question_keeps_the_clip_prefilled(model: VideoLlama2) -> None:
    ask(model, [clip_message(FILM, "Who?")])
    before = model.counters.positions_reused
    ask(model, [clip_message(FILM, "Where?")])
    assert (
        model.counters.positions_reused - before > 26
    )  # The clip's tokens and what stands before.


@pytest.mark.parametrize(
    "change",
    [{"num_frames": 3}, {"range_s": (0.0, 0.5)}, {"sound": "off"}, {"sound": "only"},
     {"audio_window": "reference"}, {"path": Path("other.mp4")}],
)  # fmt: skip
def test_other_frames_range_or_sound_are_encoded_anew(
    model: VideoLlama2, change: dict[str, Any]
) -> None:
    ask(model, [clip_message(FILM, "Who?")])
    changed = clip_message(dataclasses.replace(FILM, **change), "Who?")
    result = ask(model, [changed])
    assert model.counters.clips_encoded == 2
    assert model.counters.encodings_reused == 0
    fresh = engines.load(model.bundle.path, threads=1, keep_encodings=False)
    assert ask(fresh, [changed]).token_ids == result.token_ids


def test_another_process_finds_the_encoding(model: VideoLlama2, fake_media: Any) -> None:
    first = ask(model, [clip_message(FILM, "Who?")])
    fake_media.read.clear()
    other = engines.load(model.bundle.path, threads=1)
    assert ask(other, [clip_message(FILM, "Who?")]).token_ids == first.token_ids
    assert fake_media.read == []
    assert other.counters.frames_encoded == 0


def opened(model: VideoLlama2) -> list[str]:
    return [graph for graph in model.config.graphs if graph in model.sessions]


def test_the_encoders_are_opened_only_when_needed(model: VideoLlama2) -> None:
    ask(model, [user("Hello")])
    assert opened(model) == ["decoder"]
    model.encode(dataclasses.replace(FILM, sound="off"))
    assert opened(model) == ["vision_tower", "projector", "decoder"]


def test_stopping_in_the_middle_and_asking_again(model: VideoLlama2) -> None:
    messages = [clip_message(FILM, "Who?")]
    expected = ask(model, messages)
    model.forget()
    for stop_after in ("prefill", "text"):
        events: Iterator[Any] = model.generate(messages, SHORT)
        for event in events:
            if isinstance(event, TextPiece) if stop_after == "text" else event == "never":
                break
            if isinstance(event, Progress) and event.stage == stop_after:
                break
        events.close()  # type: ignore[attr-defined]
        assert ask(model, messages).token_ids == expected.token_ids


def stop_at(model: VideoLlama2, messages: Any, stage: str) -> None:
    for event in model.generate(messages, SHORT):
        if isinstance(event, TextPiece) if stage == "text" else stage in vars(event).values():
            model.stop()


@pytest.mark.parametrize("stage", ["vision", "audio", "prefill", "text"])
def test_stop_from_outside(model: VideoLlama2, stage: str) -> None:
    messages = [clip_message(FILM, "Who?")]
    with pytest.raises(Cancelled, match="stopped"):
        stop_at(model, messages, stage)
    fresh = engines.load(model.bundle.path, threads=1, keep_encodings=False)
    assert ask(model, messages).token_ids == ask(fresh, messages).token_ids


def test_kinds_of_clips_and_their_placeholders(model: VideoLlama2) -> None:
    for name, sound, modal, picture, hears in [
        ("film.mp4", "on", "video", True, True),
        ("film.mp4", "off", "video", True, False),
        ("film.mp4", "only", "audio", False, True),
        ("photo.png", "on", "image", True, False),
        ("noise.wav", "on", "audio", False, True),
        ("noise.wav", "only", "audio", False, True),
    ]:
        encoding = model.encode(ClipOptions(Path(name), sound=sound))  # type: ignore[arg-type]
        assert encoding.modal == modal
        assert (encoding.visual_tokens is not None) == picture
        assert (encoding.audio_tokens is not None) == hears
        assert encoding.coverage.notes == ()


def test_a_silent_film_is_said(model: VideoLlama2) -> None:
    encoding = model.encode(ClipOptions(Path("silent.mov")))
    assert encoding.audio_tokens is None
    assert "no sound track" in encoding.coverage.notes[0]
    as_upstream = model.encode(ClipOptions(Path("silent.mov"), audio_window="reference"))
    assert as_upstream.audio_tokens is not None  # Upstream hears zeros.


def test_a_model_without_ears_says_so(deaf: VideoLlama2) -> None:
    encoding = deaf.encode(FILM)
    assert encoding.audio_tokens is None
    assert "the sound of the clip was not used" in encoding.coverage.notes[0]
    assert deaf.encode(ClipOptions(Path("silent.mov"))).coverage.notes == ()


@pytest.mark.parametrize(
    ("name", "sound", "pattern"),
    [
        ("photo.png", "only", "no sound track"),
        ("silent.mov", "only", "no sound track"),
        ("noise.wav", "off", "only sound"),
    ],
)
def test_what_is_not_in_the_clip(model: VideoLlama2, name: str, sound: Any, pattern: str) -> None:
    with pytest.raises(MediaError, match=pattern) as caught:
        model.encode(ClipOptions(Path(name), sound=sound))
    assert name in str(caught.value)


@pytest.mark.parametrize(("name", "sound"), [("noise.wav", "on"), ("film.mp4", "only")])
def test_sound_for_a_model_without_ears(deaf: VideoLlama2, name: str, sound: Any) -> None:
    with pytest.raises(MediaError, match="understands pictures only"):
        deaf.encode(ClipOptions(Path(name), sound=sound))
    with pytest.raises(MediaError, match="understands pictures only"):
        deaf.prepare_audio(name)


def test_notes_of_the_media_reach_the_coverage(model: VideoLlama2, fake_media: Any) -> None:
    fake_media.notes = ["The file is cut short.", "The file is cut short."]
    assert model.encode(FILM).coverage.notes == ("The file is cut short.",)


def test_a_picture_is_shown_as_the_models_number_of_frames(model: VideoLlama2) -> None:
    pixels = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    one = model.encode_video(pixels)
    assert model.counters.frames_encoded == 1
    np.testing.assert_allclose(one, model.encode_video(pixels.repeat(4, 0)), atol=1e-6)
    encoding = model.encode(ClipOptions(Path("photo.png")))
    assert encoding.visual_tokens is not None
    assert len(encoding.visual_tokens) == 16


def test_frames_in_chunks_equal_frames_at_once(model: VideoLlama2) -> None:
    pixels = np.random.default_rng(0).standard_normal((7, 3, 8, 8)).astype(np.float32)
    at_once = model.project(model.vision_features(pixels))
    np.testing.assert_allclose(model.encode_video(pixels), at_once, atol=1e-6)


def test_several_windows_of_sound(model: VideoLlama2) -> None:
    fbanks = np.random.default_rng(0).standard_normal((2, 8, 128)).astype(np.float32)
    each = [model.encode_audio(fbanks[i : i + 1]) for i in range(2)]
    np.testing.assert_allclose(model.encode_audio(fbanks), np.concatenate(each), atol=1e-5)


def test_embeddings_are_float32_and_checked(model: VideoLlama2) -> None:
    found = model.embed(np.array([0, 262]))
    assert found.dtype == np.float32
    assert found.shape == (2, 64)
    for wrong in (-1, 263):
        with pytest.raises(ValueError, match="vocabulary"):
            model.embed(np.array([wrong]))


def test_prompt_ids_of_parts(model: VideoLlama2) -> None:
    expected = model.prompt_ids([user("<video>\nWho?")]).tolist()
    for part in ({"type": "video", "path": "x"}, {"type": "clip", "path": "film.mp4"}):
        message = {"role": "user", "content": [part, {"type": "text", "text": "Who?"}]}
        assert model.prompt_ids([message]).tolist() == expected
    heard = {"type": "clip", "path": "film.mp4", "sound": "only"}
    message = {"role": "user", "content": [heard, {"type": "text", "text": "Who?"}]}
    assert -202 in model.prompt_ids([message])
    assert model.prompt_text([user("Who?")]) == "<s>Be kind.\n[INST] \nWho? [/INST]"


def test_the_audio_part_of_a_film_is_its_sound(model: VideoLlama2) -> None:
    part = {"type": "audio", "path": "film.mp4"}
    result = ask(model, [{"role": "user", "content": [part, {"type": "text", "text": "Who?"}]}])
    assert result.usage.visual_tokens == 0
    assert result.usage.audio_tokens == 10


@pytest.mark.parametrize(
    ("messages", "options", "pattern"),
    [
        ([user("<video>\nWho?")], SHORT, "names no clip"),
        ([user("x" * 600)], SHORT, "the model reads at most 512"),
        ([user("x" * 400)], GenerateOptions(max_new_tokens=200), "lower --max-new-tokens to"),
        ([user("x")], GenerateOptions(max_new_tokens=0), "at least 1"),
        ([user("x")], GenerateOptions(temperature=-1), "temperature"),
        (
            [{"role": "user", "content": [{"type": "video", "path": "a.mp4", "fps": 3}]}],
            SHORT,
            "no option 'fps'",
        ),
    ],
)
def test_questions_that_cannot_be_asked(
    model: VideoLlama2, messages: Any, options: GenerateOptions, pattern: str
) -> None:
    with pytest.raises(PromptError, match=pattern):
        list(model.generate(messages, options))


def test_without_a_limit_the_answer_may_fill_the_context(model: VideoLlama2) -> None:
    result = ask(model, [user("x" * 460)], GenerateOptions())
    assert result.usage.prompt_tokens + result.usage.new_tokens <= 512


def test_sampling_with_a_seed_repeats_itself(model: VideoLlama2) -> None:
    options = GenerateOptions(max_new_tokens=20, temperature=1.5, seed=5)
    first = ask(model, [user("Hello")], options)
    assert ask(model, [user("Hello")], options).token_ids == first.token_ids
    other = ask(model, [user("Hello")], dataclasses.replace(options, seed=6))
    assert other.token_ids != first.token_ids


def test_the_end_token_ends_the_answer(
    own_bundle: tuple[Path, dict[str, Any]], seal_bundle: Any, model: VideoLlama2
) -> None:
    token = ask(model, [user("Hello")]).token_ids[2]
    folder, manifest = own_bundle
    manifest["decoder"]["eos_token_ids"] = [1, token]
    seal_bundle(folder, manifest)
    result = ask(engines.load(folder, threads=1), [user("Hello")])
    assert result.finish_reason == "stop"
    assert result.token_ids[-1] == token
    assert token not in result.token_ids[:-1]


def test_a_graph_that_is_not_what_the_manifest_says(
    own_bundle: tuple[Path, dict[str, Any]], seal_bundle: Any
) -> None:
    folder, manifest = own_bundle
    outputs = manifest["graphs"]["decoder"]["outputs"]
    logits = outputs["logits"]
    for change in ({"more": ["float32", [1]]}, {"logits": [logits[0], [1, "k", 99]]}):
        manifest["graphs"]["decoder"]["outputs"] = {**outputs, **change}
        seal_bundle(folder, manifest)
        with pytest.raises(BundleError, match="does not have the inputs and outputs"):
            engines.load(folder).next_logits(np.zeros((1, 1, 64), np.float32))


def test_a_tokenizer_with_more_tokens_than_embeddings(
    own_bundle: tuple[Path, dict[str, Any]], seal_bundle: Any
) -> None:
    folder, manifest = own_bundle
    np.save(folder / "embed_tokens.npy", np.zeros((200, 64), np.float16))
    manifest["decoder"]["vocab_size"] = 200
    seal_bundle(folder, manifest)
    with pytest.raises(BundleError, match="more tokens than the decoder has embeddings"):
        engines.load(folder)


def test_exact_needs_an_exact_decoder(
    own_bundle: tuple[Path, dict[str, Any]], seal_bundle: Any, tiny_bundle: Path
) -> None:
    engines.load(tiny_bundle, exact=True)  # A float bundle is exact as it is.
    folder, manifest = own_bundle
    manifest["quantisation"] = {"scheme": "int4", "method": "rtn", "group_size": 32}
    seal_bundle(folder, manifest)
    with pytest.raises(BundleError, match="no exact decoder"):
        engines.load(folder, exact=True)
    manifest["graphs"]["decoder_exact"] = manifest["graphs"]["decoder"]
    seal_bundle(folder, manifest)
    engines.load(folder, exact=True).next_logits(np.zeros((1, 1, 64), np.float32))
