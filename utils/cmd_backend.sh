# Sourced by a recipe's cmd.sh: --cmd_backend -> train_cmd, cuda_cmd and decode_cmd, the commands through which stages
# start their jobs: run.pl here, or slurm.pl, which takes the same arguments. What cmd.sh may set before:
#   train_options cuda_options decode_options   further options of slurm.pl, e.g. "--partition gpu --time 24:00:00"

train_cmd="run.pl"    # data, dumps: CPUs
cuda_cmd="run.pl"     # training
decode_cmd="run.pl"   # decoding and scoring

case ${cmd_backend:-local} in
    local) ;;
    slurm)
        type -P sbatch >/dev/null || ${dry_run:-false} || {
            echo "${0##*/}: error: --cmd_backend slurm: there is no sbatch on PATH; run this on a machine of the cluster," \
                "or here with --cmd_backend local" >&2
            exit 1
        }
        # All cores of the machine on which one types are no measure for the machines of a cluster.
        _most=$(sinfo -h -o %c 2>/dev/null | tr -d + | sort -n | tail -n 1) || _most=
        _few=$((${_most:-4} < 4 ? _most : 4))
        for _name in nj num_threads decode_nj; do
            [[ " ${given_names[*]-} " == *" ${_name} "* ]] || printf -v "${_name}" %s "${_few}"
        done
        # A job has --num-threads CPUs; where it starts several processes, --cpus.
        _processes=${num_processes:-1}
        [ "${ngpu:-0}" -le 1 ] || _processes=${ngpu}
        train_cmd="slurm.pl --cpus ${nj} ${train_options:-}"
        cuda_cmd="slurm.pl --cpus $((num_threads * _processes)) ${cuda_options:-}"
        [ "${num_nodes:-1}" -le 1 ] || cuda_cmd+=" --num-nodes ${num_nodes}"
        decode_cmd="slurm.pl --cpus $((num_threads > decode_nj ? num_threads : decode_nj)) ${decode_options:-}"
        # What Slurm would refuse is said before the first stage.
        if ! ${dry_run:-false}; then
            for _job in "${train_cmd}" "${cuda_cmd} --gpu ${ngpu:-0}" "${decode_cmd} --gpu $((${ngpu:-0} > 0))"; do
                ${_job} --num-threads 1 --check true || exit 1
            done
        fi
        ;;
    *)
        echo "${0##*/}: error: unknown --cmd_backend '${cmd_backend}'; allowed: local, slurm" >&2
        exit 1
        ;;
esac
export train_cmd cuda_cmd decode_cmd
