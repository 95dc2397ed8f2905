#!/usr/bin/env bash
# Every method once, in a third of the usual steps: what fills the lines with max_steps=300 in RESULTS.md, and sweep.png. Run
# from egs/fsdd after stages 1 and 2; what is done already is skipped, so it may be stopped and started at any time.
#
#   local/sweep.sh [--steps N] [options of run.sh, such as --num_threads 1 --dump none --seeds "0 1"]
#
# Left out are other names of what is there (linear: frozen; prompt: prompt_deep; pfeiffer_attn_par_before: pfeiffer_par;
# pfeiffer_par_no_residual: pfeiffer_ffn_par_before; pfeiffer_ffn_after and pfeiffer_seq_residual: pfeiffer_seq), and
# top8_thomas2022, which needs eight layers where this upstream has six.
set -euo pipefail
. ./path.sh

max_steps=300
options=()
while [ $# -gt 0 ]; do
    case $1 in
        --steps) max_steps=${2:?--steps takes the number of training steps}; shift 2 ;;
        --steps=*) max_steps=${1#*=}; shift ;;
        *) options+=("$1"); shift ;;
    esac
done

steps="train.max_steps=${max_steps}"
# Learning rates from a grid of 1e-3, 2.5e-3, 6e-3 (and 1.5e-2 for adapterbias and prefix) by dev WER after 300 steps: 2.5e-3, the
# recipe's own, was best for houlsby, lora and prefix; these differ.
vectors="${steps} train.lr_method=6e-3"
biases="${steps} train.lr_method=1e-3"

run() {  # method, training arguments, further options
    ./run.sh --stage 3 --peft "$1" --train_args "$2" "${@:3}" "${options[@]}"
}

for method in \
    frozen weighted_sum full houlsby prefix lora lora_all dora pissa adalora ia3 vera qlora \
    houlsby_thomas2022 e_adapter l_adapter el elp p_adapter p_adapter_suffix \
    pfeiffer_seq pfeiffer_par houlsby_seq houlsby_par hydra convpass_pf_par prompt_deep prompt_shallow adapter_lora \
    rslora olora lora_orthogonal lora_mlsuperb lora_q lora_qk lora_qv lora_qkvo lora_petl_ast \
    houlsby_mixed houlsby_otake2023 pfeiffer_seq_x2 pfeiffer_par_x2 pfeiffer_attn_after pfeiffer_attn_seq_before \
    pfeiffer_ffn_par_before pfeiffer_ffn_seq_before pfeiffer_seq_no_residual pfeiffer_par_residual convpass_pf_seq \
    convpass_hou_seq convpass_hou_par prefix_24 p_adapter_nonlinear p_adapter_suffix_nonlinear prompt_deep14 \
    adapter_prompt adapter_prompt_lora peft:loha; do
    run "${method}" "${steps}"
done
run adapterbias "${vectors}"
for method in bitfit bitfit_all layernorm; do run "${method}" "${biases}"; done
run top_n "${steps}" --peft_args top_n.n=2
run bottleneck "${steps}" --peft_args "bottleneck.size=16 bottleneck.sites=[attn_after,ffn_parallel]"
python3 -m peft_asr.bin.main results --out RESULTS.md --plot sweep.png \
    --plot_tag "^(?!.*compat).*${steps}(_train.lr_method=.*)?\$"
