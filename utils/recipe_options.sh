# The options that every recipe has, sourced by run.sh before its own. An empty value means that utils/recipe.sh or the
# recipe works it out after the options have been read.

stage=1            # first stage: 1 data, 2 audio dump, tokens, LM and activations, 3 training, 4 decoding, 5 scoring
stop_stage=5       # last stage
skip_stages=       # stages to leave out, e.g. "1 2"
peft=lora          # method or preset, parts joined by +; several, e.g. "frozen lora", run one after the other
peft_config=       # YAML file with 'spec' and 'options' in place of --peft
peft_args=         # options of the method, e.g. "lora.rank=16 lora.alpha=32"
upstream=hubert_base  # pre-trained model: a name that peft-asr upstreams lists, or hf:DIRECTORY, hf:ORG/NAME
upstream_ckpt=     # a local checkpoint of that model
task=asr           # what to train: asr, pr (phones), lid (language), asr_lid (both)
train_set=         # names of directories in data/; default: the recipe's own
valid_set=         # the set that chooses the checkpoint
test_sets=         # the sets that are decoded and scored
db=                # where the corpus is; default: what db.sh says
normalizer=none    # of transcripts: none, basic, french, mlsuperb, ... (peft-asr normalizers has them all)
min_wav_duration=  # seconds; shorter utterances are not trained on; default: data.min_s of the configuration
max_wav_duration=  # seconds; longer utterances are not trained on; default: data.max_s of the configuration
token_type=char    # char, bpe, unigram or phone; task pr takes phone
nbpe=300           # number of tokens for bpe and unigram
lexicon=           # "word phone phone ..." lines, for phone and for a beam search over words
train_config=      # YAML file; default: conf/train.yaml
train_args=        # values that win over the file, e.g. "train.lr=1e-4 train.max_steps=60"
decode_config=     # YAML file with the section 'decode'; default: greedy, or with --lm the beam search that fits
decode_batch_s=    # seconds of speech in a batch of decoding; default: what the experiment says
decode_nj=         # processes of a beam search; default: as --nj
inference_ckpt=    # decode another checkpoint of the experiment: best, a step, or a path; default: the final adapter
lm=none            # none, auto (an n-gram of the training text, made in stage 2) or an ARPA or KenLM file
lm_text=           # text for --lm auto in place of the training text
lm_order=4         # order of that n-gram
tune_lm=           # choose the LM's weight on the valid_set; default: true, but false where --lm FILE has a --decode_config
seed=0             # of the new parameters, the order of batches, dropout and masking
seeds=             # several, e.g. "0 1 2": one experiment each, then one table
tag=               # appended to the experiment's name
exp_dir=exp        # where experiments go
dump_dir=dump      # where stage 2 writes
dump=auto          # where training starts: none (audio), or activations of stage 2: conv, frontend, layer:K, all, auto (the best)
dump_dtype=auto    # how these are kept: auto, float16 or float32
dump_limit_gb=50.0 # do not write more of them; with --dump auto less or none is written then
dump_test=false    # keep those of the test sets as well, and decode from them
nj=                # processes of the dumps; default: all cores
num_threads=       # threads of training and decoding; default: all cores, shared among --num_processes
ngpu=auto          # GPUs of training, on each machine; auto: 1 where one is found, else 0
num_nodes=1        # machines that train one model together
num_processes=1    # processes on each machine that train one model together without a GPU
cmd_backend=local  # where jobs run: local or slurm (see cmd.sh)
submit=false       # with --cmd_backend slurm: submit all stages as a chain of jobs and return at once
skip_bad=false     # go on without audio files that cannot be read, after listing them
allow_pipes=false  # run the commands that a wav.scp entry ending in | names
overwrite=false    # run stages that are complete again, and replace an experiment that has other options
dry_run=false      # print the commands, run nothing

# Other names for some of them, most of them ESPnet's.
option_aliases=(
    asr_config=train_config asr_args=train_args asr_tag=tag expdir=exp_dir dumpdir=dump_dir
    inference_config=decode_config inference_nj=decode_nj inference_lm=lm lm_train_text=lm_text
    inference_asr_model=inference_ckpt
)
