"""A trained model as a directory of transformers: HubertForCTC and kin, with the method merged into the weights."""

from pathlib import Path

import torch
from torch import Tensor, nn

from peft_asr import compat  # noqa: F401  transformers imports torchaudio
from peft_asr.errors import UserError
from peft_asr.export.hf_config import hf_config
from peft_asr.export.merge import merge_all
from peft_asr.export.names import CLASSES, Names, family_of, tensors_of
from peft_asr.export.vocabulary import write_vocabulary
from peft_asr.files import new_directory
from peft_asr.tasks.adapter import Loaded
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.readout import LastState

SAMPLE_RATE_HZ = 16000
TOLERANCE = 1e-3  # of the check on noise before anything is written; a wrong mapping is off by far more


def export_hf(loaded: Loaded, out: str | Path) -> None:
    """Write ``out``: config.json, model.safetensors, preprocessor_config.json, vocab.json, tokenizer_config.json.

    ``pipeline("automatic-speech-recognition", model=out)`` and ``AutoModelForCTC`` read it. The model is merged in
    place.

    Raises:
        UserError: a part that transformers' class has no place for (another head, a readout of several states, tokens
            that are no characters, a method that cannot be merged); ``out`` exists.
    """
    check_ctc(loaded)
    model = loaded.model
    merge_all(model)
    check_family(model.encoder)
    theirs = hf_model(model.encoder, len(loaded.tokenizer), model.head.output)
    check_same(model.encoder, getattr(theirs, theirs.base_model_prefix))
    with new_directory(out) as folder:
        theirs.save_pretrained(folder)
        write_processor(folder, model.encoder, loaded.tokenizer)


def check_ctc(loaded: Loaded) -> None:
    """Raise UserError unless task, tokens, head and readout are those of transformers' classes for CTC."""
    config, tokens = loaded.config, loaded.tokenizer.type
    if config.task != "asr":
        raise UserError(f"the task is {config.task}; exported is only asr (CTC)")
    if config.head.name != "linear":
        raise UserError(
            f"the head is {config.head.name}, and transformers' CTC models have one linear map; train with "
            "head.name=linear to export"
        )
    if config.head.projection:
        raise UserError(
            f"the head has a projection of {config.head.projection} before its last map, and transformers' CTC models "
            "have one linear map; train with head.projection=0 to export"
        )
    if not isinstance(loaded.model.encoder.readout, LastState):
        raise UserError(
            f"with --peft {config.peft.name} the head does not read the last hidden state alone, and transformers' "
            "CTC models read nothing else; train without weighted_sum or layer outputs to export"
        )
    if tokens != "char":
        raise UserError(
            f"the tokens are of type {tokens}, and transformers' CTC tokenizer spells in characters; train with "
            "--token_type char to export"
        )


def check_family(encoder: Encoder) -> None:
    """Raise UserError unless transformers has a place for each tensor of this plain encoder."""
    names = Names(encoder)
    strangers = [name for name in tensors_of(encoder) if names.to_hf(name) is None]
    if strangers:
        raise UserError(
            f"this upstream of the family {encoder.geometry.family} holds '{strangers[0]}', which transformers' model "
            "does not have"
        )


def normalizes(encoder: Encoder) -> bool:
    """Waveforms come in at zero mean and unit variance; transformers' models have that in their frontend."""
    return encoder.geometry.normalize or getattr(encoder.frontend, "normalize", False)


def hf_state(encoder: Encoder) -> dict[str, Tensor]:
    """``tensors_of`` by transformers' names."""
    names = Names(encoder)
    state = {names.to_hf(name): tensor for name, tensor in tensors_of(encoder).items()}
    if isinstance(encoder.projection[1], nn.Identity):  # transformers always has a linear map there
        state["feature_projection.projection.weight"] = torch.eye(encoder.dim)
        state["feature_projection.projection.bias"] = torch.zeros(encoder.dim)
    return state


def hf_model(encoder: Encoder, classes: int, head: nn.Linear | None = None):
    """transformers' model with the weights of a plain encoder: ...ForCTC with ``head``, the bare model without.

    Raises:
        UserError: the weights do not fit transformers' model of this family.
    """
    import transformers

    stem, prefix = CLASSES[family_of(encoder.geometry)]
    cls = getattr(transformers, f"{stem}{'Model' if head is None else 'ForCTC'}")
    theirs = cls(hf_config(encoder.geometry, classes))
    state = hf_state(encoder)
    if head is not None:
        state = {f"{prefix}.{name}": tensor for name, tensor in state.items()}
        state |= {f"lm_head.{name}": tensor for name, tensor in head.state_dict().items()}
    try:
        theirs.load_state_dict(state)
    except RuntimeError as err:
        detail = " ".join(str(err).split())[:300]
        raise UserError(f"the weights do not fit transformers' {type(theirs).__name__}: {detail}") from err
    return theirs.eval()


@torch.no_grad()
def check_same(encoder: Encoder, theirs: nn.Module) -> None:
    """Run both models on a second of noise.

    Raises:
        UserError: the last hidden states differ: an option of the architecture that transformers does not have.
    """
    generator = torch.Generator().manual_seed(0)
    wavs = torch.randn(1, SAMPLE_RATE_HZ, generator=generator)
    if normalizes(encoder):
        wavs = torch.nn.functional.layer_norm(wavs, wavs.shape[1:])
    states, _ = encoder.hidden_states(wavs, torch.tensor([SAMPLE_RATE_HZ]))
    difference = (theirs(wavs).last_hidden_state - states[-1]).abs().max().item()
    if not difference <= TOLERANCE:
        raise UserError(
            f"transformers' {type(theirs).__name__} computes something else from these weights (difference "
            f"{difference:.1e}): this upstream has a form that it does not know"
        )


def write_processor(folder: Path, encoder: Encoder, tokenizer) -> None:
    """What turns samples into input values and ids into text: the files of Wav2Vec2Processor's two halves."""
    from transformers import Wav2Vec2FeatureExtractor

    Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=SAMPLE_RATE_HZ,
        padding_value=0.0,
        do_normalize=normalizes(encoder),
        # The group norm takes padding in; such models were trained without a mask there.
        return_attention_mask=not encoder.geometry.group_norm,
    ).save_pretrained(folder)
    write_vocabulary(folder, tokenizer)
