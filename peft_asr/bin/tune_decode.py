"""Choose the weights of a beam search on a validation set (stage 4): prints the table, writes a --decode_config file.

Without a lexicon lm_weight and sil_score, with one lm_weight and word_score, coordinate by coordinate over a grid. The
log-probabilities are kept in EXP/logprobs_SET, so that another LM or another grid needs no encoder.
"""

import argparse

from peft_asr.bin.decode import add_common_arguments, common_values


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Experiment, data, LM, grid, where to write."""
    add_common_arguments(parser)
    parser.add_argument("--data", required=True, metavar="DIR", help="validation set (dump/audio/SET)")
    parser.add_argument("--out", required=True, metavar="FILE", help="YAML file, e.g. EXP/tuned_NAME.yaml")
    parser.add_argument("--lm", default=None, metavar="FILE", help="ARPA or KenLM file (decode.lm)")
    parser.add_argument("--metric", default=None, help="wer, cer or per; default: the task's first")
    for name, what in (
        ("lm_weights", "decode.lm_weight"),
        ("word_scores", "decode.word_score, with a lexicon"),
        ("sil_scores", "decode.sil_score, without a lexicon"),
    ):
        parser.add_argument(
            f"--{name}", default=None, metavar='"X Y ..."', help=f"values tried for {what}; default: built in"
        )


def run(args: argparse.Namespace) -> None:
    """Tune."""
    from peft_asr.decode.tune import tune_decode

    grid = {name: getattr(args, f"{name}s") for name in ("lm_weight", "word_score", "sil_score")}
    tune_decode(args.exp, args.data, args.out, metric=args.metric, grid=grid, **common_values(args))
