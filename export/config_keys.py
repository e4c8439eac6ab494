"""Which keys of a checkpoint's config.json are known: read, or of no effect on answers."""

from collections.abc import Iterable

# Read in model_config, tower_config, layout and prompt_facts.
_READ = {
    "_name_or_path",
    "beats_config",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "layer_types",
    "max_position_embeddings",
    "max_window_layers",
    "mm_audio_tower",
    "mm_hidden_size",
    "mm_hidden_size_a",
    "mm_projector_a_type",
    "mm_projector_type",
    "mm_vision_select_feature",
    "mm_vision_select_layer",
    "mm_vision_tower",
    "model_name_or_path",
    "model_type",
    "num_attention_heads",
    "num_experts_per_tok",
    "num_frames",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_local_experts",
    "quantization_config",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
    "vl2_audio_clip_duration_s",
    "vl2_audio_window_s",
    "vl2_card",
    "vl2_name",
    "vocab_size",
}
# Of training, of transformers' own bookkeeping, or given by the tensors' shapes.
_WITHOUT_EFFECT = {
    "_attn_implementation_autoset",
    "architectures",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "chunk_size_feed_forward",
    "dtype",
    "hidden_size_a",
    "id2label",
    "image_aspect_ratio",  # upstream pads in training alone
    "initializer_range",
    "is_encoder_decoder",
    "label2id",
    "max_sequence_length",
    "mm_projector_lr",
    "mm_use_im_patch_token",
    "mm_use_im_start_end",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "pad_token_id",
    "pretraining_tp",
    "problem_type",
    "return_dict",
    "router_aux_loss_coef",
    "router_jitter_noise",  # of training alone
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "use_mm_proj",
}
_BEGINNINGS = ("tokenizer_", "tune_", "freeze_")


def unknown_keys(names: Iterable[str]) -> list[str]:
    """Return the keys that nothing here knows, in order."""
    known = _READ | _WITHOUT_EFFECT
    return sorted(name for name in names if name not in known and not name.startswith(_BEGINNINGS))
