"""CTC beam search with an n-gram, by flashlight-text (Kahn et al., *Flashlight*, ICML 2022).

A hypothesis scores

    log p(path) + lm_weight * log10 p_LM(units, </s>) + word_score * words + sil_score * frames of <space>

Without a lexicon the LM's units are the tokens and every token sequence is possible; with one they are words, and only
sequences of its words are. The path is the best of the output's (``log_add``: the sum over those in the beam).
"""

import itertools
import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from peft_asr.config import DecodeConfig
from peft_asr.decode.languages import without_languages
from peft_asr.errors import UserError
from peft_asr.lm import arpa
from peft_asr.lm.extra import need, quiet
from peft_asr.lm.lexicon import read_lexicon, spellings_for_ctc, text_tokens
from peft_asr.lm.vocabulary import check_token_lm, check_word_lm
from peft_asr.text.tokenizer import SPACE, UNKNOWN, Tokenizer

logger = logging.getLogger(__name__)

BLANK = 0
_IMPOSSIBLE = -1e30  # flashlight compares and adds scores: a number, not -inf
_DEFAULT_LM_WEIGHT = 1.0


@dataclass(frozen=True)
class Found:
    """One hypothesis of a search.

    Attributes:
        ids: its tokens, collapsed, without blanks; [] of a search with a lexicon.
        words: its words; [] of a search without a lexicon.
        score: what the search ranks by.
        am_score: log-probability of its path.
        lm_score: log10 probability of its units under the LM, 0 without one.
    """

    ids: list[int]
    words: list[str]
    score: float
    am_score: float
    lm_score: float


class BeamSearch:
    """Log-probabilities of an utterance -> its hypotheses. LM and lexicon are loaded once, and serve any weights.

    Args:
        tokenizer: of the experiment.
        options: with ``search: beam``; checked.

    Raises:
        UserError: flashlight-text is not installed; the LM is missing, cut off, or of other units; the lexicon cannot
            be spelled.
    """

    def __init__(self, tokenizer: Tokenizer, options: DecodeConfig):
        self.options = options
        self._languages = len(tokenizer.languages)
        self._flashlight = need(
            "flashlight.lib.text.decoder", "beam search", "decode.search=greedy works without it"
        )
        self._tokenizer, self._tokens = tokenizer, tokenizer.tokens
        self._space = tokenizer.tokens.index(SPACE) if SPACE in text_tokens(tokenizer) else None
        self._lexicon = read_lexicon(options.lexicon, tokenizer) if options.lexicon else None
        self._lm = self._load_lm()
        self._trie = self._make_trie() if self._lexicon else None
        self._decoders: dict[tuple, Any] = {}

    def __call__(self, log_probs: np.ndarray, options: DecodeConfig | None = None) -> list[Found]:
        """Search.

        Args:
            log_probs: (T, V) natural logarithms, T >= 1.
            options: other weights, beam or ``nbest`` than at the start; the same LM and lexicon.

        Returns:
            At most ``nbest`` different hypotheses, the best first.
        """
        options = options or self.options
        emissions = without_languages(np.asarray(log_probs, dtype=np.float32), self._languages)
        if self._lexicon is not None and self._space is not None:
            # Every spelling ends in <space>, but an utterance does not: one frame more, in which only it is possible.
            last = np.full((1, emissions.shape[1]), _IMPOSSIBLE, dtype=np.float32)
            last[0, self._space] = 0.0
            emissions = np.concatenate([emissions, last])
        emissions = np.ascontiguousarray(emissions)
        results = self._decoder(options).decode(emissions.ctypes.data, *emissions.shape)
        found: dict[tuple, Found] = {}
        for result in results:
            one = self._read(result)
            found.setdefault((*one.ids, *one.words), one)
            if len(found) == options.nbest:
                break
        return list(found.values())

    def _read(self, result: Any) -> Found:
        words = [self._lexicon.words[i] for i in result.words if i >= 0] if self._lexicon else []
        path = result.tokens[1:-1]  # flashlight puts a token before the first and after the last frame
        # It begins in silence: frames of <space> before anything else are no unit, and the LM has not scored one.
        path = list(itertools.dropwhile(lambda token: token == self._space, path))
        ids = [token for token, _ in itertools.groupby(path) if token != BLANK]
        return Found(
            [] if self._lexicon else ids, words, result.score, result.emittingModelScore, result.lmScore
        )

    def _decoder(self, options: DecodeConfig) -> Any:
        key = (
            options.beam, options.beam_tokens, options.beam_threshold, options.lm_weight, options.word_score,
            options.sil_score, options.log_add,
        )  # fmt: skip
        if key not in self._decoders:
            self._decoders = {key: self._make_decoder(options)}
        return self._decoders[key]

    def _make_decoder(self, options: DecodeConfig) -> Any:
        fl = self._flashlight
        values: dict[str, Any] = {
            "beam_size": options.beam,
            "beam_size_token": options.beam_tokens or len(self._tokens),
            "beam_threshold": options.beam_threshold,
            "lm_weight": _DEFAULT_LM_WEIGHT if options.lm_weight is None else options.lm_weight,
            "sil_score": options.sil_score,
            "log_add": options.log_add,
            "criterion_type": fl.CriterionType.CTC,
        }
        if self._lexicon is None:
            return fl.LexiconFreeDecoder(
                fl.LexiconFreeDecoderOptions(**values), self._lm, self._silence, BLANK, []
            )
        values |= {"word_score": options.word_score, "unk_score": -math.inf}
        unknown = len(self._lexicon.words)
        return fl.LexiconDecoder(
            fl.LexiconDecoderOptions(**values), self._trie, self._lm, self._silence, BLANK, unknown, [], False
        )

    @property
    def _silence(self) -> int:
        """What stands between words: the blank where the tokens have no <space>."""
        return BLANK if self._space is None else self._space

    def _load_lm(self) -> Any:
        if self.options.lm is None:
            return self._flashlight.ZeroLM()
        kenlm = need("flashlight.lib.text.decoder.kenlm", f"the language model {self.options.lm}")
        self._check_units()
        dictionary = need("flashlight.lib.text.dictionary", "beam search").Dictionary()
        for unit in [*self._lexicon.words, UNKNOWN] if self._lexicon else self._tokens:
            dictionary.add_entry(unit)
        try:
            with quiet():
                return kenlm.KenLM(str(self.options.lm), dictionary)
        except RuntimeError as err:
            if not arpa.is_kenlm_binary(self.options.lm):
                arpa.check(self.options.lm)
            reason = " ".join(str(err).split("Exception")[-1].split())
            raise UserError(f"KenLM cannot read the language model {self.options.lm}: {reason}") from err

    def _check_units(self) -> None:
        tokens = text_tokens(self._tokenizer)
        if self._lexicon is None:
            unknown = check_token_lm(self.options.lm, tokens)
            what = f"of the {len(tokens)} tokens"
        else:
            unknown = check_word_lm(self.options.lm, self._lexicon.words, tokens)
            what = f"of the {len(self._lexicon.words)} words"
        if unknown:
            logger.warning(
                "the language model %s does not know %d %s and scores them as <unk>, e.g. '%s'",
                self.options.lm, len(unknown), what, unknown[0],
            )  # fmt: skip

    def _make_trie(self) -> Any:
        fl = self._flashlight
        trie = fl.Trie(len(self._tokens), self._silence)
        start = self._lm.start(False)
        for index, spellings in enumerate(spellings_for_ctc(self._lexicon, self._space)):
            _, score = self._lm.score(start, index)
            for spelling in spellings:
                trie.insert(list(spelling), index, score)
        trie.smear(fl.SmearingMode.MAX)
        return trie
