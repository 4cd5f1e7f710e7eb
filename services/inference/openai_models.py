"""What is known of a model that an OpenAI-compatible server lists: a name, and little more. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.inference.generation import Model

_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.I)
_EMBEDS = re.compile(r"embed|minilm|(?:^|[/_-])(?:bge|gte|e5)[-_]", re.I)
_NO_CHAT = re.compile(r"whisper|tts|dall-e|image|moderation|transcribe|realtime|audio|rerank|sora", re.I)


def model_of(name: str, said: Mapping[str, Any]) -> Model:
    """`said`: what the server adds to the name; llama-server tells the parameters in `meta`, others in the name only.
    It counts as loaded: these servers load before they listen, or do not say."""
    meta = said.get("meta")
    told = meta.get("n_params") if isinstance(meta, Mapping) else None
    embeds = bool(_EMBEDS.search(name))
    return Model(
        name=name,
        parameters=float(told) if isinstance(told, (int, float)) else size_in(name),
        chats=not embeds and not _NO_CHAT.search(name),
        embeds=embeds,
        loaded=True,
    )


def size_in(name: str) -> float:
    """`Qwen2.5-7B-Instruct` -> 7e9, `gemma-3-270m` -> 2.7e8; 0 when no size stands in it."""
    sizes = [float(number) * (1e9 if unit in "bB" else 1e6) for number, unit in _SIZE.findall(name)]
    return max(sizes, default=0.0)


def only_one_may_be_unsized(models: Sequence[Model]) -> tuple[Model, ...]:
    """Where a server offers many models and tells no sizes, `auto` may not pick one by its name: it could be the
    dearest. What has no size then must be named."""
    unsized = [model for model in models if model.chats and not model.parameters]
    if len(unsized) <= 1:
        return tuple(models)
    return tuple(replace(model, unasked=False) if model in unsized else model for model in models)
