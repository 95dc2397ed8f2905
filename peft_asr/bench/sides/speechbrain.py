"""SpeechBrain: its HuBERT lobe inside its ``AdaptedModel`` wrapper (LoRA, rank 8, q and v), a linear CTC head."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from peft_asr import compat  # noqa: F401  SpeechBrain imports torchaudio
from peft_asr.bench.gauge import Gauge, count_trainable
from peft_asr.bench.setting import Setting
from peft_asr.bench.sides.hf import hubert_config
from peft_asr.bench.workload import load_task, loaded, seconds_of, training_batches
from peft_asr.files import new_directory


def write_model(setting: Setting) -> Path:
    """The lobe loads from a directory: a random model of this geometry there, and its feature extractor."""
    from transformers import HubertModel, Wav2Vec2FeatureExtractor

    folder = setting.checkpoint.parent / "hf_model"
    if not folder.is_dir():
        torch.manual_seed(setting.seed)
        with new_directory(folder) as temporary:
            HubertModel(hubert_config(setting, best=False, classes=32)).save_pretrained(temporary)
            Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(
                temporary
            )
    return folder


def _collate(items: list[tuple]) -> tuple:
    """Padded waveforms with relative lengths, padded labels with relative lengths, as SpeechBrain batches them."""
    utterances = [utterance for utterance, _ in items]
    wavs = nn.utils.rnn.pad_sequence([torch.from_numpy(samples) for _, samples in items], batch_first=True)
    labels = nn.utils.rnn.pad_sequence([torch.tensor(u.labels) for u in utterances], batch_first=True)
    wav_lens = torch.tensor([u.samples for u in utterances]) / wavs.shape[1]
    label_lens = torch.tensor([len(u.labels) for u in utterances]) / labels.shape[1]
    return wavs, wav_lens, labels, label_lens, utterances


def train(setting: Setting, options: dict[str, Any]) -> dict:
    """Options: ``dtype`` (float32 or bfloat16: autocast)."""
    from speechbrain.integrations.huggingface.hubert import HuBERT
    from speechbrain.nnet.adapters import AdaptedModel, LoRA
    from speechbrain.nnet.losses import ctc_loss

    gauge = Gauge(setting.warmup, setting.device)
    folder = str(write_model(setting))
    lobe = HuBERT(source=folder, save_path=folder, freeze=False, freeze_feature_extractor=True)
    model = AdaptedModel(lobe, LoRA, target_layers=["*.q_proj", "*.v_proj"], adapter_kwargs={"rank": 8}).to(
        setting.device
    )
    classes = load_task(setting).classes
    head = nn.Linear(lobe.model.config.hidden_size, classes).to(setting.device)
    model.train(), head.train()
    parameters = [p for module in (model, head) for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    dataset, batches = training_batches(setting, grouped=True)
    half = options["dtype"] == "bfloat16"

    gauge.start()
    for wavs, wav_lens, labels, label_lens, utterances in gauge.fed(loaded(dataset, batches, _collate)):
        wavs, wav_lens, labels, label_lens = (
            x.to(setting.device) for x in (wavs, wav_lens, labels, label_lens)
        )
        with torch.autocast(setting.device, dtype=torch.bfloat16, enabled=half):
            logits = head(model(wavs, wav_lens))
        log_probs = logits.float().log_softmax(dim=-1)
        loss = ctc_loss(log_probs, labels, wav_lens, label_lens, blank_index=0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        gauge.stepped(loss.item(), len(utterances), seconds_of(utterances))
    return gauge.report(count_trainable(model, head), dtype=options["dtype"])
