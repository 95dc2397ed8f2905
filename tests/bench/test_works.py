"""Every work in a miniature, both sides in this process: they do the same work, and their losses are finite."""

import importlib.util

import pytest

from peft_asr.bench.material import prepare
from peft_asr.bench.sides import SIDES, run_side
from peft_asr.bench.works import OPPONENTS, WORKS, choose
from peft_asr.errors import UserError


@pytest.fixture(scope="session")
def measured(setting):
    """(side, times longer) -> its measurement; works share sides, which need not run twice here."""
    done = {}

    def run(side, longer):
        key = (side.runner, str(side.options), longer)
        if key not in done:
            around = setting.longer(longer)
            prepare(around, [side])
            done[key] = run_side(side.runner, around, side.options)
        return done[key]

    return run


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_both_sides_do_the_same_work(work, measured):
    if work.against == "speechbrain" and importlib.util.find_spec("speechbrain") is None:
        pytest.skip("SpeechBrain is not installed")
    ours, theirs = measured(work.ours, work.longer), measured(work.theirs, work.longer)
    for side in (ours, theirs):
        assert side["finite"] and side["step_s"] > 0 and side["peak_mb"] > 0 and side["utterances"] > 0
        assert len(side["losses"]) == (0 if side["unit"] != "step" else 2 * work.longer)
    for same in ("utterances", "unit", "steps"):
        assert ours[same] == theirs[same]
    assert ours["audio_s"] == pytest.approx(theirs["audio_s"], abs=1e-3)
    assert (ours["trainable"] == theirs["trainable"]) == work.same_trainable
    if work.ours.runner == "ours":
        dumped = work.ours.options.get("dump", "none") != "none"
        assert (ours["started_from"] != "audio") == dumped
        assert 0 <= ours["wait_share"] < 1


def test_works_are_well_formed():
    names = [work.name for work in WORKS]
    assert len(set(names)) == len(names)
    for work in WORKS:
        assert work.against in OPPONENTS
        assert {work.ours.runner, work.theirs.runner} <= SIDES.keys()
        assert work.compares.endswith(".")


def test_choice_of_works():
    assert [work.name for work in choose([], ["speechbrain"])] == ["lora_audio_speechbrain"]
    assert choose(["decode_greedy"], OPPONENTS)[0].target == 2.0
    assert choose([], ["espnet"]) == []
    with pytest.raises(UserError, match="unknown --work 'decode_gredy' .did you mean 'decode_greedy'"):
        choose(["decode_gredy"], OPPONENTS)
    with pytest.raises(UserError, match="unknown --against 'fairseq'.*allowed: own, hf"):
        choose([], ["fairseq"])
    with pytest.raises(UserError, match="no work of --work decode_greedy is against hf"):
        choose(["decode_greedy"], ["hf"])
