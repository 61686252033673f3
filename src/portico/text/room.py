"""What fits: prompts, answers and beams against the model's context and the server's memory."""

from __future__ import annotations

from collections.abc import Sequence

from portico.errors import RequestError
from portico.protocol.messages import Loaded
from portico.protocol.sampling import SamplingParams


def check_least(least: int, max_model_len: int, *, prompt_param: str, answers: bool) -> None:
    """Refuse a prompt that is not encoded yet and has at `least` so many tokens; by `answers` as if for an answer."""
    if least >= max_model_len:
        raise (_no_room if answers else _too_many)(least, max_model_len, prompt_param, "at least ")


def check_answer(
    sampling: SamplingParams,
    prompt_len: int,
    max_model_len: int,
    *,
    max_tokens_param: str,
    prompt_param: str,
    cut: bool = False,
) -> int:
    """The room for an answer to a prompt of so many tokens; RequestError if there is none.

    Also, unless an answer may be `cut` to it, if there is less than what is asked for.
    """
    room = max_model_len - prompt_len
    if room < 1:
        raise _no_room(prompt_len, max_model_len, prompt_param)
    if sampling.max_tokens is not None and sampling.max_tokens > room and not cut:
        raise RequestError(
            f"This model's maximum context length is {max_model_len} tokens, but {prompt_len + sampling.max_tokens} "
            f"were asked for: {prompt_len} in the prompt and {sampling.max_tokens} by {max_tokens_param}. "
            f"Shorten the prompt or set {max_tokens_param} to {room} or less.",
            param=max_tokens_param,
            code="context_length_exceeded",
        )
    return room


def truncated(prompt_ids: list[int], sampling: SamplingParams, max_model_len: int) -> list[int]:
    """The end of the prompt, if the request asks for it."""
    keep = sampling.truncate_prompt_tokens
    if keep is None:
        return prompt_ids
    if keep == -1:
        keep = max(1, max_model_len - (sampling.max_tokens or 1))
    return prompt_ids[-keep:]


def check_length(prompt_ids: Sequence[int], param: str, max_model_len: int) -> None:
    if len(prompt_ids) >= max_model_len:
        raise _too_many(len(prompt_ids), max_model_len, param)


def _no_room(tokens: int, max_model_len: int, param: str, how: str = "") -> RequestError:
    said = f"This model's maximum context length is {max_model_len} tokens, but the prompt has {how}{tokens} tokens, "
    return _too_long(said + "which leaves no room for an answer. Shorten the prompt.", tokens, max_model_len, param)


def _too_many(tokens: int, max_model_len: int, param: str, how: str = "") -> RequestError:
    said = f"{param} has {how}{tokens} tokens; this model takes at most {max_model_len - 1}."
    return _too_long(said, tokens, max_model_len, param)


def _too_long(said: str, tokens: int, max_model_len: int, param: str) -> RequestError:
    counts = {"prompt_tokens": tokens, "max_model_len": max_model_len}
    return RequestError(said, param=param, code="context_length_exceeded", counts=counts)


def check_beams(beams: int, tokens: int, max_tokens_param: str, limits: Loaded) -> None:
    """Refuse a search whose beams could never run together."""
    if beams > limits.max_num_seqs:
        raise RequestError(
            f"num_beams is {beams}; this server runs at most {limits.max_num_seqs} sequences together.",
            param="num_beams",
            code="invalid_value",
        )
    blocks = beams * -(-tokens // limits.block_size)
    if blocks > limits.num_blocks:
        raise RequestError(
            f"num_beams is {beams}; so many beams of up to {tokens} tokens need {blocks} blocks of keys and values, "
            f"and there are {limits.num_blocks}. Lower num_beams or {max_tokens_param}.",
            param="num_beams",
            code="invalid_value",
        )


def check_range(token_ids: Sequence[int], vocab_size: int, param: str) -> None:
    if not token_ids or (min(token_ids) >= 0 and max(token_ids) < vocab_size):
        return
    index = next(index for index, token_id in enumerate(token_ids) if not 0 <= token_id < vocab_size)
    raise RequestError(
        f"{param}.{index} is {token_ids[index]}; token ids of this model are from 0 to {vocab_size - 1}.",
        param=f"{param}.{index}",
        code="invalid_value",
    )
