"""Score hypotheses: error rates or accuracy, alignments, trn files (OUT/score_wer, score_cer, score_ger, ...)."""

import argparse

from peft_asr.score.score import TASKS, rates_line, score
from peft_asr.text.normalize import NORMALIZERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """References, hypotheses, where to write."""
    parser.add_argument("--task", default="asr", metavar="NAME", help=f"{', '.join(TASKS)}")
    parser.add_argument("--ref", required=True, metavar="TEXT", help="Kaldi text file of the test set")
    parser.add_argument("--hyp", required=True, metavar="TEXT", help="Kaldi text file of stage 4")
    parser.add_argument(
        "--utt2spk", default=None, metavar="FILE", help="speakers; default: utt2spk beside --ref"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="decoding directory")
    parser.add_argument(
        "--normalizer",
        default=None,
        metavar="NAME",
        help=f"of both sides: {', '.join(NORMALIZERS)}; default: that of the dump, else none",
    )
    parser.add_argument("--token_dir", default=None, metavar="DIR", help="token list; --task pr needs it")
    parser.add_argument(
        "--ref_lang", default=None, metavar="FILE", help="languages; default: utt2lang beside --ref"
    )
    parser.add_argument(
        "--hyp_lang",
        default=None,
        metavar="FILE",
        help="languages that lid and asr_lid chose; default: lang beside --hyp",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap interval")
    parser.add_argument("--nj", type=int, default=1, help="processes")


def run(args: argparse.Namespace) -> None:
    """Score, then print one line a rate."""
    results = score(
        args.ref, args.hyp, args.out, task=args.task, utt2spk=args.utt2spk, normalizer=args.normalizer,
        token_dir=args.token_dir, ref_lang=args.ref_lang, hyp_lang=args.hyp_lang, seed=args.seed, nj=args.nj,
    )  # fmt: skip
    for name, result in results.items():
        print(rates_line(name, result, args.out))
