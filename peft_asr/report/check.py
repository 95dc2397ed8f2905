"""What training and decoding would refuse, said before there are any data."""

from collections.abc import Sequence

from peft_asr import peft
from peft_asr.config import Config
from peft_asr.decode.options import check_search, decode_options
from peft_asr.frozen.choice import candidates
from peft_asr.tasks import AdaptedEncoder
from peft_asr.train.check import check_options
from peft_asr.train.optim import check_parts
from peft_asr.upstream import check_obtainable, load_skeleton


def check_run(
    config: Config, decode_configs: Sequence[str] = (), lm: str | None = None, lexicon: str | None = None
) -> None:
    """Check everything that needs neither data nor weights.

    Args:
        config: as training takes it, resolved; the directories of ``data`` may be missing.
        decode_configs, lm, lexicon: as decoding takes them; the files of the last two may be missing.

    Raises:
        UserError: the first thing that is wrong.
    """
    check_options(config, directories=False)
    check_search(decode_options(config.decode, decode_configs, lm=lm, lexicon=lexicon))
    methods = peft.resolve(config.peft)
    encoder = load_skeleton(config.upstream)
    injected = peft.inject(encoder, methods)
    check_parts(config.train, [*injected.labels.values(), "head"])
    encoder.dropouts = config.train.backbone_dropout
    candidates(config, AdaptedEncoder(encoder, injected, upstream_hash=""))
    check_obtainable(config.upstream)
