"""Steps played from tapes give what the decoder gives, bit for bit, whatever was played before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from portico.engine.plan import Draw, Row
from portico.kernels.tape import MOST_ROWS
from portico.model.decode_tapes import DecodeTapes
from portico.protocol.sampling import TokenParams
from portico.run.batch import BatchBuilder
from portico.run.runner import TorchRunner
from tests.run.logits import BLOCK, BLOCKS, blocks_for, load, prefill
from tests.tiny_models import VOCAB, make_tiny_model

PARAMS = TokenParams(max_tokens=9, seed=0)


@pytest.fixture(scope="module", params=["none", "int4", "int8 keys"])
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TorchRunner:
    folder: Path = tmp_path_factory.mktemp(request.param)
    make_tiny_model("qwen3", folder, dtype=torch.bfloat16)
    if request.param == "int8 keys":
        found = load(folder, dtype="bfloat16", kv="int8")
    else:
        found = load(folder, dtype="bfloat16", quantization=request.param)
    if found.decoder.kernels.record is None:
        pytest.skip("nothing was built")
    return found


def rows(count: int, start: int, seed: int) -> list[Row]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(3, VOCAB, (count,), generator=generator).tolist()
    shared = blocks_for(0, 64)[: start // BLOCK]
    draw = Draw(PARAMS, choice=0, position=0, prompt_ids=[1], output_ids=[])
    own = [block for block in range(1, BLOCKS + 1) if block not in blocks_for(0, 64)]
    return [Row(i, [token], start, [*shared, own[i]], draw) for i, token in enumerate(tokens)]


@torch.inference_mode()
def test_a_tape_gives_what_the_decoder_gives(runner: TorchRunner) -> None:
    prefill(runner, list(range(3, 63)))
    builder, tapes = BatchBuilder(runner.decoder, BLOCK), DecodeTapes(runner.decoder, runner.cache)
    for turn, (count, start) in enumerate([(1, 20), (5, 7), (1, 60), (MOST_ROWS, 31), (5, 59), (1, 1), (MOST_ROWS, 2)]):
        batch, _ = builder.build(rows(count, start, seed=turn))
        assert tapes.takes(batch)
        want = runner.decoder(batch, runner.cache)
        assert torch.equal(tapes(batch), want)


def test_only_steps_of_one_token_a_sequence_are_taken(runner: TorchRunner) -> None:
    builder, tapes = BatchBuilder(runner.decoder, BLOCK), DecodeTapes(runner.decoder, runner.cache)
    one, *_ = rows(1, 20, seed=0)
    two = Row(sequence_id=1, token_ids=[3, 4], start=20, blocks=one.blocks, draw=one.draw)
    silent = Row(sequence_id=1, token_ids=[3], start=20, blocks=one.blocks, draw=None)
    many = [*rows(MOST_ROWS, 20, seed=1), one]
    for plan in ([one, two], [one, silent], many):
        assert not tapes.takes(builder.build(plan)[0])
