"""References and hypotheses of one test set, paired by utterance id."""

from dataclasses import dataclass
from pathlib import Path

from peft_asr.data.tables import read_table
from peft_asr.errors import UserError
from peft_asr.text.normalize import get_normalizer


@dataclass(frozen=True)
class Pair:
    """One utterance. ``hyp`` is None when the hypotheses lack it: every reference unit then counts as deleted.

    ``lang`` is the language of the reference, None where it is not known.
    """

    utt_id: str
    speaker: str
    ref: str
    hyp: str | None
    lang: str | None = None


def load_pairs(
    ref_path: str, hyp_path: str, utt2spk_path: str | None = None, languages: dict[str, str] | None = None
) -> list[Pair]:
    """Pair two Kaldi ``text`` files (or two tables of languages).

    Args:
        ref_path: transcripts of the test set. They decide which utterances count.
        hyp_path: hypotheses; an id without text is an empty hypothesis.
        utt2spk_path: speakers; None: ``utt2spk`` beside the references, and where there is none each utterance is
            its own speaker.
        languages: utterance -> language of the reference, if known.

    Returns:
        One pair per reference, in the order of the ids.

    Raises:
        UserError: a file is missing, empty, malformed, unsorted or has an id twice; a hypothesis belongs to no
            reference; a reference has no speaker.
    """
    refs = read_table(ref_path, allow_empty=True)
    hyps = read_table(hyp_path, allow_empty=True)
    strangers = [utt_id for utt_id in hyps if utt_id not in refs]
    if strangers:
        raise UserError(
            f"{hyp_path}: {len(strangers)} of {len(hyps)} utterances are not in {ref_path}, the first is "
            f"'{strangers[0]}'; --ref must be the set that was decoded"
        )
    speakers = _speakers(ref_path, utt2spk_path, list(refs))
    languages = languages or {}
    return [
        Pair(utt_id, speakers[utt_id], ref, hyps.get(utt_id), languages.get(utt_id))
        for utt_id, ref in refs.items()
    ]


def normalise_pairs(pairs: list[Pair], name: str, hyps: bool = True) -> list[Pair]:
    """The same normaliser, with the language of the reference, on both sides.

    Args:
        pairs: as ``load_pairs`` gives them.
        name: of the normaliser.
        hyps: False leaves the hypotheses as they are (they are phones).

    Raises:
        UserError: unknown normaliser, or one that needs a language that is not known.
    """
    normalizer = get_normalizer(name)
    done = []
    for pair in pairs:
        try:
            ref = normalizer(pair.ref, pair.lang)
            hyp = pair.hyp if pair.hyp is None or not hyps else normalizer(pair.hyp, pair.lang)
        except UserError as err:
            raise UserError(f"utterance '{pair.utt_id}': {err}") from err
        done.append(Pair(pair.utt_id, pair.speaker, ref, hyp, pair.lang))
    return done


def normalizer_of(ref_path: str) -> str:
    """The normaliser that a dump says it used, in ``normalizer`` beside its text; ``none`` where nothing is said."""
    try:
        return (Path(ref_path).parent / "normalizer").read_text(encoding="utf-8").strip() or "none"
    except FileNotFoundError:
        return "none"
    except (OSError, UnicodeDecodeError) as err:
        raise UserError(
            f"cannot read the file 'normalizer' beside {ref_path}: {err}; run stage 2 again"
        ) from err


def _speakers(ref_path: str, utt2spk_path: str | None, utt_ids: list[str]) -> dict[str, str]:
    if utt2spk_path is None:
        beside = Path(ref_path).parent / "utt2spk"
        if not beside.is_file():
            return {utt_id: utt_id for utt_id in utt_ids}
        utt2spk_path = str(beside)
    speakers = read_table(utt2spk_path)
    for utt_id in utt_ids:
        if utt_id not in speakers:
            raise UserError(
                f"{utt2spk_path} has no speaker for utterance '{utt_id}' of {ref_path}; check --utt2spk"
            )
    return speakers
