"""transformers + huggingface/peft: ``HubertForCTC`` under ``get_peft_model``, as its users run it or at its best.

``defaults``: the published configuration's dropouts, layerdrop and masking in train mode; the feature extractor's
output (normalised, padded, no attention mask for a base model) in random order.
``best``: no dropout, no layerdrop, no masking, the feature encoder frozen, batches of like lengths.
Both have scaled-dot-product attention, the fused AdamW, and the loop of ``Trainer`` without its bookkeeping.
"""

from typing import Any

import torch

from peft_asr import compat  # noqa: F401  transformers imports torchaudio
from peft_asr.bench.checkpoint import find_geometry
from peft_asr.bench.gauge import Gauge, count_trainable
from peft_asr.bench.setting import Setting
from peft_asr.bench.workload import load_task, loaded, seconds_of, training_batches

_BEST = {
    "hidden_dropout": 0.0, "activation_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0,
    "final_dropout": 0.0, "layerdrop": 0.0, "apply_spec_augment": False,
}  # fmt: skip
# The published configuration of HuBERT base where it differs from HubertConfig's own defaults.
_PUBLISHED = {"feat_proj_dropout": 0.1}


def hubert_config(setting: Setting, best: bool, classes: int):
    """transformers' configuration of this geometry."""
    from transformers import HubertConfig

    shape = find_geometry(setting.geometry)
    channels, kernels, strides = zip(*shape.conv, strict=True)
    return HubertConfig(
        vocab_size=classes, hidden_size=shape.dim, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        intermediate_size=shape.ffn, conv_dim=channels, conv_kernel=kernels, conv_stride=strides,
        num_conv_pos_embeddings=shape.pos_kernel_frames, num_conv_pos_embedding_groups=shape.pos_groups,
        feat_extract_norm="group" if shape.group_norm else "layer", do_stable_layer_norm=shape.pre_ln,
        conv_bias=shape.conv_bias, pad_token_id=0, ctc_zero_infinity=True, attn_implementation="sdpa",
        **(_BEST if best else _PUBLISHED),
    )  # fmt: skip


def build_model(setting: Setting, options: dict[str, Any], classes: int) -> torch.nn.Module:
    """``HubertForCTC`` with LoRA (rank 8, q and v) and a trained head, random weights, in train mode."""
    from peft import LoraConfig, get_peft_model
    from transformers import HubertForCTC

    torch.manual_seed(setting.seed)
    model = HubertForCTC(hubert_config(setting, options["best"], classes))
    if options.get("half_weights"):
        model.to(torch.bfloat16)
    # The head is new, so it trains; without this line peft would leave it random.
    lora = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], modules_to_save=["lm_head"])
    model = get_peft_model(model, lora)
    if options["best"]:
        model.base_model.model.freeze_feature_encoder()
    return model.train()


def make_collate(mask: bool):
    """Batches as the feature extractor of the published models gives them, labels padded with -100."""
    from transformers import Wav2Vec2FeatureExtractor

    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=mask)

    def collate(items: list[tuple]) -> dict:
        utterances = [utterance for utterance, _ in items]
        inputs = extractor(
            [samples for _, samples in items], sampling_rate=16000, padding=True, return_tensors="pt"
        )
        labels = torch.full((len(items), max(len(u.labels) for u in utterances)), -100)
        for row, utterance in enumerate(utterances):
            labels[row, : len(utterance.labels)] = torch.tensor(utterance.labels)
        return {"inputs": {**inputs, "labels": labels}, "utterances": utterances}

    return collate


def train(setting: Setting, options: dict[str, Any]) -> dict:
    """Take steps.

    Options: ``best`` (bool), ``dtype`` (float32, or bfloat16: autocast), ``half_weights`` (base weights in bfloat16).
    """
    gauge = Gauge(setting.warmup, setting.device)
    model = build_model(setting, options, load_task(setting).classes).to(setting.device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    dataset, batches = training_batches(setting, grouped=options["best"])
    half = options["dtype"] == "bfloat16"
    loader = loaded(dataset, batches, make_collate(mask=not find_geometry(setting.geometry).group_norm))

    gauge.start()
    for batch in gauge.fed(loader):
        inputs = {name: tensor.to(setting.device) for name, tensor in batch["inputs"].items()}
        with torch.autocast(setting.device, dtype=torch.bfloat16, enabled=half):
            loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        gauge.stepped(loss.item(), len(batch["utterances"]), seconds_of(batch["utterances"]))
    return gauge.report(count_trainable(model), dtype=options["dtype"])
