"""`VideoLlama2`: the one class that puts the parts together.

Sessions are opened when first needed. One conversation is cached at a time: the decoder's cache is
trimmed to what the next prompt shares with it. Not for several threads at once, except `stop`.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import media
from engines.bundle import MANIFEST, Bundle, cache_dir
from engines.config import BundleConfig, ClipOptions, Coverage
from engines.devices import resolve
from engines.encode import EncodeSeconds, encode_steps, plan_clip
from engines.encoder_plan import plan_encoders
from engines.encodings import FOLDER, Encoding, EncodingStore, encoding_key
from engines.errors import BundleError, PromptError
from engines.events import Event, Progress, Result, TextPiece, Timing, Usage
from engines.fallback import AnyDecoder
from engines.generate import (
    FinishReason,
    PrefillStep,
    TokenPrompt,
    check_length,
    drain,
    generate_steps,
    prefill,
    reusable,
)
from engines.kv_cache import KvCache, media_keys
from engines.live import KeptFeatures, changes, check_live, frame_features, live_steps
from engines.live_clip import LiveClip
from engines.machine_memory import memory_here
from engines.messages import (
    Conversation,
    Message,
    Modal,
    clip_message,
    clip_options,
    parse_messages,
)
from engines.prepacked import prepacked_store
from engines.prompt import prompt_ids, render_prompt
from engines.sampling import GenerateOptions, Sampler, make_sampler, resolve_sampling
from engines.sessions import Sessions
from engines.stages import Stages
from engines.tokenizer import TextStream, Tokenizer

Array = NDArray[Any]

MAX_NEW_TOKENS = 2048  # Upstream's default.


class VideoLlama2(Stages):
    """A loaded bundle: encodes clips, answers questions.

    Attributes:
        bundle: the folder, its id and its manifest.
        config: the manifest.
        device: where it runs, and why.
        counters: work done so far.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        exact: bool = False,
        threads: int | None = None,
        keep_encodings: bool = True,
        prepacked_gb: int | None = None,
    ) -> None:
        """See `engines.load`."""
        self.device = resolve(device)
        prepacked = prepacked_store(prepacked_gb)
        super().__init__(bundle, Sessions(bundle, self.device, threads, prepacked))
        self.decoder_graph = _decoder_graph(bundle.config, exact)
        self._tokenizer = Tokenizer(bundle.path / "tokenizer.json")
        if self._tokenizer.size > bundle.config.decoder.vocab_size:
            raise BundleError(
                f"The tokenizer of {bundle.path} has more tokens than the decoder has embeddings;"
                " export the bundle again."
            )
        self._store = EncodingStore(cache_dir() / FOLDER if keep_encodings else None)
        self._kept = KeptFeatures()
        self._decoding: tuple[AnyDecoder, KvCache] | None = None

    def next_logits(self, inputs_embeds: Array) -> Array:
        """Embeddings (1, L, H) → logits (vocab,) float32 after the last; stateless."""
        length = inputs_embeds.shape[1]
        check_length(length, 0, self.config.decoder.max_position_embeddings)
        decoder, _ = self._open_decoder()
        cache = self._new_cache(decoder)
        cache.reserve(length)
        prompt = TokenPrompt(inputs_embeds[0], np.zeros(length, np.int64))
        return drain(prefill(decoder, cache, prompt)).copy()

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The prompt as the chat template renders it, the clip as its placeholder."""
        conversation = parse_messages(messages)
        return self._prompt_text(conversation, self._modal(conversation))

    def prompt_ids(self, messages: Sequence[Message]) -> NDArray[np.int64]:
        """Token ids (L,) of a conversation, with -200 image, -201 video, -202 audio in place."""
        conversation = parse_messages(messages)
        return self._prompt_ids(conversation, self._modal(conversation))

    def encode(self, options: ClipOptions, live: LiveClip | None = None) -> Encoding:
        """Prepares and encodes a clip, or fetches what an earlier call made of it.

        Raises:
            MediaError: the clip cannot be read or lacks what was asked for.
        """
        self.sessions.resume()
        return drain(self._encode(options, EncodeSeconds(), live))

    def look(self, clip: LiveClip, pad: bool = False) -> Generator[Progress, None, Array]:
        """Sees how much each frame of a live recording differs from the one before it.

        Only frames not seen before cost anything, and a question about them costs that less.

        Returns:
            (T - 1,) float64 between 0 and 2; see `engines.live.changes`.

        Raises:
            MediaError: there is nothing in the recording, or it cannot be read.
        """
        self.sessions.resume()
        check_live(clip)
        yield from self.open_encoders(picture=bool(clip.frames), sound=False)
        return changes((yield from frame_features(self, clip, pad, EncodeSeconds(), self._kept)))

    def remember(self, encoding: Encoding) -> None:
        """Takes what another model of the same bundle made of a clip: no encoder need be opened."""
        self._store.put(encoding)

    def generate(
        self,
        messages: Sequence[Message],
        options: GenerateOptions | None = None,
        live: LiveClip | None = None,
    ) -> Generator[Event, None, None]:
        """Answers the last question of a conversation.

        Args:
            messages: see `messages.parse_messages`; a clip part may carry every field of
                `ClipOptions` beside its path (see `clip_message`).
            options: how to answer.
            live: stands for the conversation's clip, whose path is then only a name.

        Yields:
            Progress, then a TextPiece per token, at last the Result. Ceasing to iterate cancels.

        Raises:
            PromptError: the conversation cannot be put to the model, or is too long.
            MediaError: the clip cannot be read or lacks what was asked for.
            DeviceError: the inference library failed.
            Cancelled: another thread called `stop`.
        """
        started = time.perf_counter()
        self.sessions.resume()
        options = options or GenerateOptions()
        sampler = make_sampler(resolve_sampling(options, self.config.generation))
        conversation = parse_messages(messages)
        seconds = EncodeSeconds()
        encoding = None
        if conversation.clip is not None:
            encoding = yield from self._encode(clip_options(conversation.clip), seconds, live)
        elif conversation.modal is not None:
            raise PromptError(
                f"The question begins with <{conversation.modal}> but names no clip; give the clip"
                " as a part of the message."
            )
        prompt = self._token_prompt(conversation, encoding)
        limit = self._new_token_limit(len(prompt.keys), options.max_new_tokens)
        if live is None:  # A recording goes on: its next frames want the encoders at once.
            self._make_room(len(prompt.keys) + limit)
        yield from self.sessions.opening(self.decoder_graph)
        prefill_started = time.perf_counter()
        eos = () if options.ignore_eos else self.config.decoder.eos_token_ids
        written = yield from self._write(prompt, sampler, eos, limit)
        yield Result(
            answer=written.text,
            token_ids=written.ids,
            finish_reason=written.finish,
            usage=_usage(len(prompt.keys), encoding, len(written.ids)),
            timing=Timing(
                seconds.media_s,
                seconds.encode_s,
                prefill_s=written.first_at - prefill_started,
                first_token_s=written.first_at - started,
                decode_tokens_per_s=written.tokens_per_s,
            ),
            coverage=encoding.coverage if encoding else Coverage(),
            device=self.sessions.device_used(),
            bundle=self.bundle.id,
            devices=self.sessions.devices(),
        )

    def begin(
        self, clip: ClipOptions, live: LiveClip | None = None
    ) -> Generator[Progress, None, Encoding]:
        """Encodes a clip and reads it into the cache, while the user still writes the question.

        Args:
            clip: what is to be taken of it.
            live: stands for the clip, whose path is then only a name.

        Returns:
            What the encoders made of it.

        Raises:
            MediaError: the clip cannot be read or lacks what was asked for.
            PromptError: the clip is too long for the model.
        """
        self.sessions.resume()
        encoding = yield from self._encode(clip, EncodeSeconds(), live)
        conversation = parse_messages([clip_message(clip, "")])
        prompt = self._token_prompt(conversation, encoding)
        # What stands behind the clip depends on the question.
        known = int(np.flatnonzero(prompt.keys < 0)[-1]) + 1
        check_length(known, 1, self.config.decoder.max_position_embeddings)
        if live is None:
            self._make_room(known)
        yield from self.sessions.opening(self.decoder_graph)
        decoder, cache = self._open_decoder()
        cache.reserve(known)
        start = TokenPrompt(prompt.inputs_embeds[:known], prompt.keys[:known])
        for step in prefill(decoder, cache, start):
            self.counters.positions_prefilled += step.computed
            yield Progress("prefill", step.done, step.total)
        return encoding

    def token_prompt(self, messages: Sequence[Message]) -> TokenPrompt:
        """A conversation as the decoder takes it; the decoder is not opened.

        Raises:
            PromptError: the conversation cannot be put to the model.
            MediaError: the clip cannot be read or lacks what was asked for.
        """
        self.sessions.resume()
        conversation = parse_messages(messages)
        encoding = None
        if conversation.clip is not None:
            encoding = drain(self._encode(clip_options(conversation.clip), EncodeSeconds()))
        return self._token_prompt(conversation, encoding)

    def answer_logits(self, messages: Sequence[Message], answer_ids: Sequence[int]) -> Array:
        """Logits (n, vocab) float32 from which each token of a given answer (n,) is chosen.

        Raises:
            PromptError: the conversation cannot be put to the model, or is too long.
            MediaError: the clip cannot be read or lacks what was asked for.
        """
        prompt = self.token_prompt(messages)
        context = self.config.decoder.max_position_embeddings
        check_length(len(prompt.keys), len(answer_ids), context)
        decoder, cache = self._open_decoder()
        found: list[Array] = []

        def given(logits: Array, ids: Sequence[int]) -> int:
            found.append(logits.copy())
            return answer_ids[len(ids)]

        for _ in generate_steps(
            decoder, cache, prompt, self.embed, given, (), max_new_tokens=len(answer_ids)
        ):
            pass
        return np.stack(found)

    def open_graphs(self) -> Iterator[Progress]:
        """Opens every graph that a question may need, unless it is open."""
        yield from self.open_encoders(picture=True, sound=self.config.audio is not None)
        yield from self.sessions.opening(self.decoder_graph)

    def stop(self) -> None:
        """Ends the work of another thread in this model at once, which then raises Cancelled."""
        self.sessions.stop()

    def close(self) -> None:
        """Gives back the memory of all that is open; asked again, the model opens it again."""
        self.forget()
        self._decoding = None
        self.sessions.close_all()

    def forget(self) -> None:
        """Drops the cached conversation and the encodings in memory; those on disk stay."""
        if self._decoding is not None:
            self._decoding[1].trim(0)
        self._store.clear_memory()
        self._kept.clear()

    def _write(
        self, prompt: TokenPrompt, sampler: Sampler, eos: tuple[int, ...], limit: int
    ) -> Generator[Progress | TextPiece, None, "_Written"]:
        decoder, cache = self._open_decoder()
        stream = TextStream(self._tokenizer)
        ids: list[int] = []
        pieces: list[str] = []
        finish: FinishReason = "length"
        first_at = 0.0
        reused = reusable(cache, prompt)
        self.counters.positions_reused += reused
        yield Progress("prefill", reused, len(prompt.keys))
        steps = generate_steps(decoder, cache, prompt, self.embed, sampler, eos, limit)
        for step in steps:
            if isinstance(step, PrefillStep):
                self.counters.positions_prefilled += step.computed
                yield Progress("prefill", step.done, step.total)
                continue
            first_at = first_at or time.perf_counter()
            self.counters.tokens_decoded += 1
            ids.append(step.id)
            # The text of the token that ends the answer is not part of it.
            text = "" if step.finish == "stop" else stream.push(step.id)
            if step.finish is not None:
                finish = step.finish
                text += stream.finish()
            pieces.append(text)
            yield TextPiece(text, step.id)
        passed = time.perf_counter() - first_at
        speed = (len(ids) - 1) / passed if len(ids) > 1 else None
        return _Written("".join(pieces), tuple(ids), finish, first_at, speed)

    def _encode(
        self, options: ClipOptions, seconds: EncodeSeconds, live: LiveClip | None = None
    ) -> Generator[Progress, None, Encoding]:
        started = time.perf_counter()
        content = media.clip_hash(options.path) if live is None else live.digest
        key = encoding_key(content, options, self.bundle)
        found = self._store.get(key)
        seconds.media_s += time.perf_counter() - started
        if found is not None:
            self.counters.encodings_reused += 1
            return found
        if live is None:
            encoding = yield from encode_steps(self, options, key, seconds)
        else:
            encoding = yield from live_steps(self, live, options, key, seconds, self._kept)
        self.counters.clips_encoded += 1
        # What a camera saw leaves no trace on the disk unless the user keeps it.
        self._store.put(encoding, on_disk=live is None)
        return encoding

    def _make_room(self, positions: int) -> None:
        """Closes encoders by plan, before the decoder works on so many positions."""
        opened = self.sessions.on_cpu()
        free = memory_here().available_bytes
        exact = self.decoder_graph == "decoder_exact"
        for graph in plan_encoders(self.config, opened, positions, free, exact).close:
            self.sessions.close(graph)

    def _token_prompt(self, conversation: Conversation, encoding: Encoding | None) -> TokenPrompt:
        ids = self._prompt_ids(conversation, encoding.modal if encoding else None)
        if encoding is None:
            return TokenPrompt(self.embed(ids), ids)
        (at,) = np.flatnonzero(ids < 0)
        tokens = [t for t in (encoding.visual_tokens, encoding.audio_tokens) if t is not None]
        media_embeds = np.concatenate(tokens)
        embeds = [self.embed(ids[:at]), media_embeds, self.embed(ids[at + 1 :])]
        keys = [ids[:at], media_keys(encoding.key, len(media_embeds)), ids[at + 1 :]]
        return TokenPrompt(np.concatenate(embeds), np.concatenate(keys))

    def _new_token_limit(self, prompt_tokens: int, wanted: int | None) -> int:
        context = self.config.decoder.max_position_embeddings
        if wanted is not None and wanted < 1:
            raise PromptError(f"The answer cannot have {wanted} tokens; ask for at least 1.")
        check_length(prompt_tokens, wanted or 1, context)
        return wanted or min(MAX_NEW_TOKENS, context - prompt_tokens)

    def _prompt_ids(self, conversation: Conversation, modal: Modal | None) -> NDArray[np.int64]:
        text = self._prompt_text(conversation, modal)
        return prompt_ids(text, modal, self._tokenizer.encode)

    def _prompt_text(self, conversation: Conversation, modal: Modal | None) -> str:
        manifest = self.bundle.path / MANIFEST
        return render_prompt(conversation.turns, modal, self.config.prompt, manifest)

    def _modal(self, conversation: Conversation) -> Modal | None:
        part = conversation.clip
        if part is None:
            return conversation.modal
        options = clip_options(part)
        if part["type"] == "clip":
            return plan_clip(media.probe(options.path), options, self.config).modal
        declared: Modal = part["type"]
        return "audio" if options.sound == "only" else declared

    def _open_decoder(self) -> tuple[AnyDecoder, KvCache]:
        if self._decoding is None:
            decoder = self.sessions.decoder(self.decoder_graph)
            self._decoding = decoder, self._new_cache(decoder)
        return self._decoding

    def _new_cache(self, decoder: AnyDecoder) -> KvCache:
        return KvCache(
            decoder.layers,
            decoder.kv_heads,
            decoder.head_dim,
            decoder.cache_dtype,
            limit=self.config.decoder.max_position_embeddings,
            grow=decoder.grow,
        )


@dataclass(frozen=True)
class _Written:
    """An answer as it was written; `first_at` is the clock's reading at the first token."""

    text: str
    ids: tuple[int, ...]
    finish: FinishReason
    first_at: float
    tokens_per_s: float | None


def _decoder_graph(config: BundleConfig, exact: bool) -> str:
    if not exact or config.quantisation.scheme != "int4":
        return "decoder"  # Only an int4 decoder comes in two flavours.
    if "decoder_exact" not in config.graphs:
        raise BundleError(
            f"{config.name} has no exact decoder; export the bundle again or leave out --exact."
        )
    return "decoder_exact"


def _usage(prompt_tokens: int, encoding: Encoding | None, new_tokens: int) -> Usage:
    visual = audio_tokens = 0
    if encoding is not None:
        visual = 0 if encoding.visual_tokens is None else len(encoding.visual_tokens)
        audio_tokens = 0 if encoding.audio_tokens is None else len(encoding.audio_tokens)
    text = prompt_tokens - visual - audio_tokens
    return Usage(prompt_tokens, visual, audio_tokens, text, new_tokens)
