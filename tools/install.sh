#!/usr/bin/env bash
# Makes the Python environment that the recipes run in. No root, no conda; a second call does nothing, and a call
# after an interruption goes on at the step that was cut short.
#
#   tools/install.sh                                # ./venv with what the recipes need
#   tools/install.sh --extras dev                   # and what the tests need
#   tools/install.sh --venv ~/envs/peft --torch cpu
set -euo pipefail

venv=          # where the environment goes; default: venv/ in the repository
python=        # the interpreter to build on; default: the first python >= 3.11 found
extras=plots   # optional parts of setup.py, with commas: lm, quant, plots, hf, lhotse, pr, g2p, pretrain, dev
torch=auto     # cpu, cuda, or auto: cuda where nvidia-smi lists a GPU

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "${root}/utils/parse_options.sh"
venv=${venv:-${root}/venv}
cpu_index=https://download.pytorch.org/whl/cpu

die() { echo "install.sh: error: $*" >&2; exit 1; }
say() { echo "install.sh: $*"; }

[ $# -eq 0 ] || die "unexpected argument '$1'; options are written --name value, see --help"
case ${torch} in auto|cpu|cuda) ;; *) die "--torch is cpu, cuda or auto, not '${torch}'" ;; esac
for extra in ${extras//,/ }; do
    case ${extra} in
        lm|quant|plots|hf|lhotse|pr|g2p|pretrain|dev) ;;
        *) die "--extras has no part '${extra}'; allowed: lm, quant, plots, hf, lhotse, pr, g2p, pretrain, dev" ;;
    esac
done

# 3.11 first: it is the version that the pinned packages are tested with.
find_python() {
    local candidate
    for candidate in ${python:-python3.11 python3.12 python3.13 python3 python}; do
        if "${candidate}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "${candidate}"
            return
        fi
    done
    return 1
}

has_gpu() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

# PyTorch keeps its CPU wheels (200 MB instead of 3 GB) on an index of its own; elsewhere pip's settings must do.
reachable() {
    "${venv}/bin/python" - "$1" >/dev/null 2>&1 <<'PY'
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/torch/", method="HEAD"), timeout=5)
PY
}

pip_install() { "${venv}/bin/python" -m pip install --disable-pip-version-check -c "${root}/tools/constraints.txt" "$@"; }

make_venv() { "${interpreter}" -m venv "${venv}"; }

install_torch() {
    local index=()
    if [ "${build}" = cpu ] && [ "$(uname -s)" = Linux ] && reachable "${cpu_index}"; then
        index=(--extra-index-url "${cpu_index}")
    fi
    pip_install "${index[@]}" torch torchaudio
}

install_package() { pip_install -e "${root}[${extras}]"; }

check() {
    "${venv}/bin/python" -c 'import peft_asr.compat, torch, torchaudio, soundfile; print("torch", torch.__version__)'
}

# step NAME KEY TITLE FUNCTION: runs FUNCTION unless the stamp of NAME holds KEY already.
step() {
    local stamp=${venv}/.peft_asr/$1.done
    if [ -f "${stamp}" ] && [ "$(cat "${stamp}")" = "$2" ]; then
        return
    fi
    say "$3"
    echo "# $1" >>"${log}"
    if ! ( "$4" ) >>"${log}" 2>&1; then
        local reason
        reason=$(sed -n "/^# ${1}\$/,\$p" "${log}" | grep -iE 'error|not available|no space' | tail -n 1 || true)
        die "step '$1' failed: ${reason:-see the log}; the whole log is ${log}; the same command goes on from here"
    fi
    echo "$2" >"${stamp}.tmp" && mv "${stamp}.tmp" "${stamp}"
    did_something=true
}

if [ -d "${venv}" ] && [ -n "$(ls -A "${venv}")" ] && [ ! -d "${venv}/.peft_asr" ]; then
    die "${venv} exists and was not made by this script; choose another folder with --venv"
fi
interpreter=$(find_python) || die "there is no Python 3.11 or newer (${python:-on PATH}); give one with --python /path/to/python3.11"
mkdir -p "${venv}/.peft_asr" 2>/dev/null || die "cannot write to ${venv}; choose another folder with --venv"
log=${venv}/.peft_asr/install.log
did_something=false
build=${torch}
if [ "${build}" = auto ]; then
    if has_gpu; then build=cuda; else build=cpu; fi
fi
pins=$(cksum <"${root}/tools/constraints.txt")
needs=$(cksum <"${root}/setup.py")

step venv "${python}" "making ${venv} with ${interpreter}" make_venv
step torch "${build} ${pins}" "installing torch and torchaudio (${build} build)" install_torch
step "package-${extras//,/-}" "${root} ${needs} ${pins}" "installing peft_asr[${extras}]" install_package
if ${did_something}; then
    check >>"${log}" 2>&1 || die "the environment does not work: $(tail -n 1 "${log}"); see 'peft-asr doctor' and ${log}"
    say "done: ${venv} ($(du -sh "${venv}" | cut -f1))"
else
    say "${venv} is complete"
fi
