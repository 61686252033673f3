from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portico.errors import CheckpointError, ConfigError
from portico.protocol.sampling import SamplingParams, TokenParams
from portico.text.defaults import SamplingDefaults, Seeds, resolve
from tests.text.folders import write_folder


def resolved(sampling: SamplingParams, defaults: SamplingDefaults | None = None, **changes: Any) -> TokenParams:
    given: dict[str, Any] = {"room": 90, "eos_token_ids": (2, 7), "seeds": Seeds(None)}
    given |= changes
    return resolve(sampling, defaults or SamplingDefaults(), **given)


def test_numeric_fields_of_the_folder_are_the_defaults_and_requests_override_them(tmp_path: Path) -> None:
    generation = {"do_sample": False, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05}
    generation["typical_p"] = 0.9
    defaults = SamplingDefaults.load(write_folder(tmp_path, generation=generation))
    assert defaults == SamplingDefaults(0.6, 0.95, 20, 0.0, 0.9, 1.05)
    params = resolved(SamplingParams(temperature=0.0, top_k=-1), defaults)
    assert (params.temperature, params.top_p, params.top_k, params.repetition_penalty) == (0.0, 0.95, 0, 1.05)


def test_do_sample_false_alone_is_not_greedy(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, generation={"do_sample": False, "temperature": None})
    assert SamplingDefaults.load(folder) == SamplingDefaults()
    assert SamplingDefaults.load(tmp_path / "nowhere") == SamplingDefaults()


@pytest.mark.parametrize("generation", [{"temperature": "hot"}, {"top_p": 7}, {"top_k": True}])
def test_a_folder_with_impossible_defaults_is_refused(generation: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="generation_config"):
        SamplingDefaults.load(write_folder(tmp_path, generation=generation))


def test_what_is_left_out_is_the_rest_of_the_context_and_all_end_tokens() -> None:
    params = resolved(SamplingParams())
    assert (params.max_tokens, params.stop_token_ids) == (90, (2, 7))
    assert resolved(SamplingParams(ignore_eos=True)).stop_token_ids == ()


def test_seeds_are_64_bits_unsigned_and_fresh_when_missing() -> None:
    assert resolved(SamplingParams(seed=5)).seed == 5
    assert resolved(SamplingParams(seed=-1)).seed == 2**64 - 1
    drawn = {resolved(SamplingParams()).seed for _ in range(8)}
    assert len(drawn) == 8
    assert all(0 <= seed < 2**64 for seed in drawn)


def test_a_server_with_a_seed_draws_the_same_again_and_leaves_requests_theirs() -> None:
    def drawn(seed: int) -> list[int]:
        seeds = Seeds(seed)
        wishes = [SamplingParams(), SamplingParams(seed=5), SamplingParams()]
        return [resolved(wish, seeds=seeds).seed for wish in wishes]

    assert drawn(7) == drawn(7)
    assert drawn(7)[1] == 5
    assert len({*drawn(7), *drawn(-7)}) == 5


def test_where_the_defaults_come_from(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", generation={"temperature": 0.5})
    other = write_folder(tmp_path / "other", generation={"temperature": 0.25})
    assert SamplingDefaults.choose("auto", folder).temperature == 0.5
    assert SamplingDefaults.choose(None, folder) == SamplingDefaults()
    assert SamplingDefaults.choose(str(other), folder).temperature == 0.25
    with pytest.raises(ConfigError, match=r"nowhere; there is no generation_config.json"):
        SamplingDefaults.choose(str(tmp_path / "nowhere"), folder)


def test_who_serves_may_have_others() -> None:
    given = SamplingDefaults(temperature=0.5, top_p=0.9)
    assert given.but({}) == given
    assert given.but({"top_p": 0.8, "top_k": 5}) == SamplingDefaults(temperature=0.5, top_p=0.8, top_k=5)
    with pytest.raises(ConfigError, match="has 'max_new_tokens'; it may have temperature, top_p"):
        given.but({"max_new_tokens": 5})
    with pytest.raises(ConfigError, match="override_generation_config: temperature is 3"):
        given.but({"temperature": 3})


def test_a_top_k_beyond_any_vocabulary_still_fits_a_message() -> None:
    assert resolved(SamplingParams(top_k=2**80)).top_k < 2**63
