"""The configuration of a run: typed dataclasses, read from YAML, overridden by ``--set``, strict about every key.

train.lr=1e-4  ->  Config.train.lr == 1e-4
train.lrr=1e-4 ->  unknown option 'train.lrr' in --set (did you mean 'lr'?); allowed in 'train': accum, ...
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from peft_asr.errors import UserError, nearest
from peft_asr.files import write_text

_NUMBERS = dict[str, float]  # the type of a table of numbers


@dataclass
class UpstreamConfig:
    """Which pre-trained model, and how a padded batch runs through it."""

    name: str = "hubert_base"  # a name that peft-asr upstreams lists, hf:DIRECTORY or hf:ORG/NAME
    ckpt: str | None = None  # a local checkpoint in s3prl's converted format; None: the hub's file for `name`
    trust_pickle: bool = False  # allow a checkpoint that needs full unpickling (it can run code)
    long_audio: str = "refuse"  # refuse | window: beyond a fixed window (Whisper 30 s, AST 10.24 s)
    padding: str = (
        "exact"  # exact: a batch gives what each utterance gives alone; s3prl: s3prl's batch behaviour
    )
    random_init: bool = False  # keep the architecture, forget the weights (control experiment)


@dataclass
class PeftConfig:
    """Which methods, joined by '+', with the options of each: ``options.lora.rank=16``."""

    spec: str = "lora"
    options: dict[str, Any] = field(default_factory=dict)
    asked: str = ""  # set when `spec` was expanded from another (a preset of several parts): what was typed

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.asked or self.spec


@dataclass
class HeadConfig:
    """What stands on the encoder. None: the head's own size, which its class states and a saved config spells out."""

    name: str = "linear"  # linear | blstm | transformer | mlsuperb; for lid also pooled | transformer_pooled
    projection: int | None = None  # width of the first linear map of linear, blstm, mlsuperb, pooled; 0: none
    hidden: int | None = None  # blstm: units of each direction; transformers: width of the attention
    layers: int = 2  # of BLSTMs or transformer layers
    dropout: float | None = None
    feedforward: int = 1024  # transformers
    attention_heads: int = 8  # transformers
    kernel: int = 2  # frames under transformer's convolution, whose stride is 2


@dataclass
class DataConfig:
    """Kaldi directories as stage 2 leaves them (wav.scp of 16 kHz files, text, utt2spk, utt2num_samples)."""

    train_dir: str = ""
    valid_dir: str = ""
    token_dir: str = ""  # tokens.txt (+ bpe.model), written by stage 2
    dump: str = "none"  # start from activations: auto | conv | frontend | layer:K | all; none: from audio
    dump_dir: str = ""  # where stage 2 wrote them (peft-asr dump-features)
    dump_dtype: str = "auto"  # float16 | float32; auto: float16
    speed_perturb: list[float] = field(default_factory=list)  # e.g. [0.9, 1.0, 1.1]: drawn anew each time
    min_s: float = 0.1  # length limits touch training and validation data only, never a test set
    max_s: float = 30.0
    batch_s: float = 32.0  # seconds of speech in a training batch, padding included
    valid_batch_s: float = 64.0
    buckets: int = 10  # utterances of like length share batches
    num_workers: int = 1


@dataclass
class MaskConfig:
    """SpecAugment-like masking of features at the frozen boundary. Probabilities as in wav2vec 2.0 fine-tuning."""

    time_prob: float = 0.0  # share of frames that start inside a mask (spans may overlap)
    time_length_frames: int = 10
    feature_prob: float = 0.0
    feature_length: int = 64


@dataclass
class TrainConfig:
    """The training loop."""

    optimizer: str = "adamw"  # adamw | adam
    lr: float = 1e-3
    lr_head: float | None = None  # None: lr
    lr_method: float | None = None  # adapters, featurizer weights, trained biases and norms; None: lr
    lr_backbone: float | None = None  # pre-trained layers that train (full, top_n); None: lr
    lr_parts: dict[str, float] = field(
        default_factory=dict
    )  # one part of --peft: {e_adapter: 1e-3}; over all these
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    weight_decay: float = 0.0
    schedule: str = "linear"  # constant | linear | cosine | tri_stage, after the warm-up
    warmup_steps: int = 0
    hold_steps: int = 0  # tri_stage only
    final_lr_scale: float = 0.05  # tri_stage: the last learning rate as a share of the first
    max_steps: int = 1000  # optimiser steps; 0: until max_epochs
    max_epochs: int = 0  # 0: until max_steps
    accum: int = 1  # batches per optimiser step
    clip: float = 1.0  # global gradient norm; 0: no clipping
    dtype: str = "float32"  # float32 | bfloat16 | auto (bfloat16 where the hardware multiplies it natively)
    gradient_checkpointing: bool = (
        False  # trained layers keep nothing and compute twice: less memory, more time
    )
    compile: bool = (
        False  # torch.compile of each layer: 10 % faster on a CPU, after a minute and one a new shape
    )
    backbone_dropout: bool = (
        False  # the frozen layers' own dropouts act in training, as where nobody stops them
    )
    frozen_alone: bool = (
        False  # below the frozen boundary utterances run one by one: slower, the same bits as a float32 dump
    )
    log_every: int = 10
    valid_every: int = 100
    save_every: int = 100  # steps between resumable states
    patience: int = 0  # stop after so many validations without improvement; 0: never
    metric: str = (
        "auto"  # chooses checkpoints: loss, or one the task has of wer, cer, per, acc; auto: its first
    )
    keep_best: int = 3
    average_best: bool = True  # final adapter = mean of the keep_best; False: the best one
    nonfinite_limit: int = 5  # non-finite losses in a row that are skipped before giving up
    mask: MaskConfig = field(default_factory=MaskConfig)


@dataclass
class DecodeConfig:
    """How hypotheses are found in the output. Names and meanings of the search's options are flashlight's."""

    search: str = "auto"  # greedy | beam | auto: beam with an LM or a lexicon, else greedy
    lm: str | None = None  # ARPA file (.gz too) or KenLM binary: of the tokens, or with a lexicon of words
    lexicon: str | None = (
        None  # lines 'word' or 'word symbol symbol ...': only sequences of these words are found
    )
    beam: int = 50  # hypotheses kept at each frame
    beam_tokens: int = 0  # the best tokens of a frame that go on from each hypothesis; 0: all
    beam_threshold: float = 50.0  # hypotheses so much worse than the best are dropped
    lm_weight: float | None = None  # of the log10 probability of the LM; None: 1
    word_score: float = 0.0  # added for each word of the lexicon
    sil_score: float = 0.0  # added for each frame of <space>
    log_add: bool = False  # sum over the paths of a hypothesis instead of taking the best
    nbest: int = 1  # hypotheses written for each utterance
    batch_s: float = 64.0
    num_workers: int = 1
    dtype: str = "auto"  # float32 | bfloat16 | auto: as train.dtype says


@dataclass
class Config:
    """Everything that decides a result. Written, resolved, beside every result."""

    seed: int = 0
    task: str = "asr"
    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    peft: PeftConfig = field(default_factory=PeftConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)


def load_config(
    paths: Sequence[str] = (), overrides: Sequence[str] = (), parts: Sequence[tuple[str, dict]] = ()
) -> Config:
    """Merge YAML files (later ones win), then ``parts``, then ``key.sub=value`` overrides, over the defaults.

    Args:
        paths: YAML files; each may hold any part of ``Config``.
        parts: (where it comes from, values) of parts of a config that are read already.
        overrides: as given to ``--set``; the value is parsed as YAML, so ``1e-4``, ``true`` and ``[0,1]`` work.

    Raises:
        UserError: a file is missing or not YAML, a key is unknown (with the nearest right name), a value has the
            wrong type.
    """
    node = OmegaConf.structured(Config)
    for path in paths:
        node = _merge(node, read_yaml(path), str(path))
    for where, part in parts:
        node = _merge(node, part, where)
    for item in overrides:
        key, sign, _ = item.partition("=")
        if not sign or not key:
            raise UserError(f"--set takes key=value, e.g. train.lr=1e-4; got '{item}'")
        node = _merge(node, _setting(item), f"--set {item}")
    return _to_object(node)


def read_yaml(path: str) -> Any:
    """What a YAML file holds, as plain values.

    Raises:
        UserError: it is missing or not YAML.
    """
    try:
        return OmegaConf.to_container(OmegaConf.load(path))
    except OSError as err:
        raise UserError(f"cannot read config file {path}: {err.strerror or err}") from err
    except Exception as err:  # yaml has no common public base for scanner, parser and constructor errors
        raise UserError(f"{path} is not YAML: {str(err).splitlines()[0]}") from err


def config_to_yaml(config: Any) -> str:
    """A config (or any dataclass of it) as YAML text, keys in the order of definition."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def save_config(config: Config, path: str) -> None:
    """Atomically write the resolved config as YAML."""
    write_text(path, config_to_yaml(config))


def config_from_dict(values: dict) -> Config:
    """The strict inverse of ``config_to_dict``; the same errors as ``load_config``."""
    return _to_object(_merge(OmegaConf.structured(Config), values, "the saved config"))


def config_to_dict(config: Config) -> dict:
    """Plain nested dicts, lists and scalars."""
    return OmegaConf.to_container(OmegaConf.structured(config))


def options_from_dict(cls: type, values: dict, where: str) -> Any:
    """Build the dataclass ``cls`` from ``values``, as strictly as a config.

    Raises:
        UserError: unknown key or wrong type, naming ``where``.
    """
    _check_keys(cls, values, where, prefix="")
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), values))
    except OmegaConfBaseException as err:
        raise UserError(f"{where}: {str(err).splitlines()[0]}") from err


def _merge(node: Any, values: Any, where: str) -> Any:
    if values is None:
        return node
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected 'section: {{key: value}}', got {type(values).__name__}")
    _check_keys(Config, values, where, prefix="")
    try:
        return OmegaConf.merge(node, values)
    except (
        OmegaConfBaseException,
        TypeError,
    ) as err:  # TypeError: a list where a mapping belongs, or the reverse
        key = f"'{err.full_key}': " if getattr(err, "full_key", None) else ""
        raise UserError(f"{where}: {key}{str(err).splitlines()[0]}") from err


def _setting(item: str) -> dict:
    """``train.lr=1e-4`` as a part of a config: ``{"train": {"lr": 1e-4}}``.

    Raises:
        UserError: the value is not YAML, or has a ``${`` that makes no sense.
    """
    key, _, value = item.partition("=")
    try:
        part = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))["value"]
    except (OmegaConfBaseException, yaml.YAMLError) as err:
        said = getattr(err, "problem", None) or str(err).splitlines()[0]
        raise UserError(f"--set {item}: the value is not YAML: {said}") from err
    for word in reversed(_path(key)):
        part = {word: part}
    return part


def _path(key: str) -> list[str]:
    """The sections and the option that a key names. The names in a table of numbers may hold dots themselves:
    ``train.lr_parts.e_adapter.norm`` is the entry ``e_adapter.norm``.
    """
    words, kind = key.split("."), Config
    for depth, word in enumerate(words[:-1], start=1):
        kind = {f.name: f.type for f in fields(kind)}.get(word) if is_dataclass(kind) else None
        if kind == _NUMBERS:
            return [*words[:depth], ".".join(words[depth:])]
    return words


def _to_object(node: Any) -> Config:
    try:
        return OmegaConf.to_object(node)
    except OmegaConfBaseException as err:  # a ${...} that stands for nothing, or for nothing of this type
        raise UserError(f"'{getattr(err, 'full_key', None) or '?'}': {str(err).splitlines()[0]}") from err


def _check_keys(cls: type, values: dict, where: str, prefix: str) -> None:
    known = {f.name: f.type for f in fields(cls)}
    for key, value in values.items():
        full = f"{prefix}{key}"
        if key not in known:
            section = f" in '{prefix[:-1]}'" if prefix else ""
            raise UserError(
                f"unknown option '{full}' in {where}{nearest(str(key), known, prefix)}; "
                f"allowed{section}: {', '.join(sorted(known))}"
            )
        if is_dataclass(known[key]):
            if not isinstance(value, dict):
                raise UserError(f"{where}: '{full}' is a section with keys, got {value!r}")
            _check_keys(known[key], value, where, prefix=f"{full}.")
        elif known[key] == _NUMBERS and isinstance(value, dict):
            for name, number in value.items():
                if isinstance(number, dict | list):
                    raise UserError(f"{where}: '{full}.{name}' is a number, got {number!r}")
