# How jobs are started (--cmd_backend). On a cluster, further options of utils/slurm.pl for each kind of job stand here.
train_options= cuda_options= decode_options=  # e.g. cuda_options="--partition gpu --mem 16G --time 24:00:00"
. "${root}/utils/cmd_backend.sh"
