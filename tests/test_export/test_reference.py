"""The torch modules against what the published implementation computed."""

import numpy as np
import pytest
import torch

from export.checkpoint import Checkpoint
from export.reference.audio_tower import AudioTowerConfig, relative_buckets
from export.reference.decoder import Decoder, DecoderConfig, DecoderLayer, causal_mask, layer_mask
from export.reference.projector import (
    PROJECTOR_TYPES,
    ProjectorConfig,
    build_projector,
    token_grid,
)
from export.reference.vision_tower import VisionTowerConfig
from export.streams import Stream
from tests.golden import (
    AUDIO_ROWS,
    CHECKPOINTS,
    PROJECTORS,
    Case,
    cases,
    checkpoint,
    projector_case,
    projector_checkpoint,
    relative_error,
)

TOLERANCE = 1e-4
SMALL = DecoderConfig(32, 48, 2, 4, 2, 16, 40, 64, 1e-5, 10000.0)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


Opened = tuple[Checkpoint, list[Case]]


@pytest.fixture(scope="module", params=(*CHECKPOINTS, *PROJECTORS))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    name = request.param
    if name in CHECKPOINTS:
        return Checkpoint(checkpoint(name)), cases(name)
    folder = projector_checkpoint(name, tmp_path_factory.mktemp("projectors"))
    return Checkpoint(folder), [projector_case(name)]


def test_vision_tower_and_projector(opened: Opened) -> None:
    model, golden = opened
    tower, projector = model.vision_tower(), model.projector()
    for case in golden:
        if case.pixel_values is None:
            continue
        features = tower(torch.from_numpy(case.pixel_values)).numpy()
        wanted = case.arrays["vision_features"]
        assert relative_error(features, wanted) <= TOLERANCE
        frames = np.broadcast_to(wanted, (model.config.num_frames, *wanted.shape[1:])).copy()
        tokens = projector(torch.from_numpy(frames)[None])[0].numpy()
        assert relative_error(tokens, case.arrays["visual_tokens"]) <= TOLERANCE


def test_sound_encoder() -> None:
    encoder = Checkpoint(checkpoint("qwen2_av")).sound_encoder()
    heard = [case for case in cases("qwen2_av") if case.fbank is not None]
    assert len(heard) == 2
    for case in heard:
        tokens = encoder(torch.from_numpy(case.fbank))[0].numpy()
        assert tokens.shape == (1496, 64)
        assert relative_error(tokens[AUDIO_ROWS], case.arrays["audio_tokens"]) <= TOLERANCE


def test_decoder_teacher_forced(opened: Opened) -> None:
    model, golden = opened
    # A text; a connector's golden case is a film, whose tokens go into the placeholder's place.
    case = next((case for case in golden if case.name == "text"), golden[0])
    stored, tokens = case.arrays, case.arrays["greedy_tokens"]
    ids = np.concatenate([stored["input_ids"], tokens])
    embeds = model.embed_tokens()[torch.from_numpy(ids).long().clamp(min=0)]
    if case.modal == "video":
        (at,) = np.flatnonzero(ids < 0)
        seen = torch.from_numpy(stored["visual_tokens"])
        embeds = torch.cat([embeds[:at], seen, embeds[at + 1 :]])
    stream = Stream(model.config.decoder, embeds, [len(embeds)])
    for i in range(model.config.decoder.num_hidden_layers):
        stream.advance(i, model.decoder_layer(i))
    logits = stream.logits(model.norm(), model.head()).numpy()
    end = len(embeds) - len(tokens)
    assert relative_error(logits[end - 1], stored["last_logits"]) <= TOLERANCE
    assert relative_error(logits[end:], stored["step_logits"]) <= TOLERANCE
    np.testing.assert_array_equal(logits[end - 1 : -1].argmax(-1), tokens)


def test_a_whole_decoder_equals_one_walked_through_layer_by_layer() -> None:
    decoder = Decoder(SMALL)
    embeds = torch.randn(1, 9, 32)
    stream = Stream(SMALL, embeds[0].clone(), [9])
    for i, layer in enumerate(decoder.model.layers):
        assert isinstance(layer, DecoderLayer)
        stream.advance(i, layer)
    torch.testing.assert_close(
        decoder(embeds)[0], stream.logits(decoder.model.norm.weight, decoder.lm_head)
    )


def test_a_mask_and_positions_can_pack_two_sequences_into_one() -> None:
    decoder = Decoder(SMALL)
    one, two = torch.randn(1, 4, 32), torch.randn(1, 3, 32)
    mask = torch.block_diag(torch.ones(4, 4), torch.ones(3, 3)).bool() & causal_mask(7, None)
    additive = torch.zeros(1, 1, 7, 7).masked_fill(~mask, float("-inf"))
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2]])
    packed = decoder(torch.cat([one, two], 1), additive, positions)
    apart = torch.cat([decoder(one), decoder(two)], 1)
    torch.testing.assert_close(packed, apart)


def test_causal_mask_with_a_window() -> None:
    assert causal_mask(4, 2).int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 1, 1],
    ]
    assert layer_mask(SMALL, 0, 4) is None


@pytest.mark.parametrize(
    ("distance", "bucket"),
    [(0, 0), (1, 161), (79, 239), (80, 240), (200, 271), (-81, 80), (-200, 111), (-799, 159)],
)
def test_buckets_of_the_published_size(distance: int, bucket: int) -> None:
    buckets = relative_buckets(800, 320, 800)
    i, j = max(-distance, 0), max(distance, 0)
    assert buckets[i, j] == bucket


@pytest.mark.parametrize(("frames", "tokens"), [(2998, 1496), (998, 496), (1598, 792)])
def test_audio_token_counts_of_the_published_tower(frames: int, tokens: int) -> None:
    assert AudioTowerConfig().num_tokens(frames) == tokens


@pytest.mark.parametrize(
    ("kind", "grid", "frames", "tokens"),
    [
        ("stc_connector", 24, 8, 845),
        ("stc_connector", 24, 1, 169),
        ("stc_connector", 27, 16, 1764),
        ("stc_connector_v35", 27, 16, 1352),
        ("stp_connector", 24, 32, 2304),
        ("spatial_conv", 24, 8, 1690),
        ("spatial_pool", 24, 8, 1152),
        ("linear", 24, 8, 576),
        ("mlp2x_gelu", 27, 8, 729),
    ],
)
def test_visual_token_counts_of_published_sizes(
    kind: str, grid: int, frames: int, tokens: int
) -> None:
    assert np.prod(token_grid(kind, frames, grid)) == tokens


@pytest.mark.parametrize("kind", PROJECTOR_TYPES)
def test_token_counts_are_what_a_projector_gives(kind: str) -> None:
    projector = build_projector(ProjectorConfig(kind, 16, 16, depth=1))
    features = torch.randn(2, 5, 9, 16)
    assert projector(features).shape == (2, np.prod(token_grid(kind, 5, 3)), 16)


def test_published_tower_uses_all_layers_but_the_last() -> None:
    config = VisionTowerConfig("clip", 1024, 4096, 24, 16, 336, 14, 1e-5, "quick_gelu")
    assert (config.used_layers, config.num_patches) == (23, 576)


def test_pooling_connectors_need_equal_widths() -> None:
    with pytest.raises(ValueError, match="as wide as the decoder"):
        build_projector(ProjectorConfig("spatial_pool", 16, 32))
    with pytest.raises(ValueError, match="unknown projector"):
        build_projector(ProjectorConfig("qformer", 16, 32))
