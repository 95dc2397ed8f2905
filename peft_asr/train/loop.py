"""The training loop, in one function that reads from top to bottom."""

import logging
import math
import signal
import time

import torch

from peft_asr.config import Config
from peft_asr.errors import UserError
from peft_asr.train.check import check_length
from peft_asr.train.experiment import Experiment
from peft_asr.train.finish import finish
from peft_asr.train.journal import Journal, SilentJournal
from peft_asr.train.keeper import Keeper
from peft_asr.train.logfile import LogFile
from peft_asr.train.losses import to_device
from peft_asr.train.masking import build_masker
from peft_asr.train.monitor import GradientCheck, explain_collapse, explain_failure, parameter_table
from peft_asr.train.optim import build_optimizer, learning_rates, named_parameters, set_learning_rates
from peft_asr.train.parts import Parts
from peft_asr.train.precision import autocast_dtype
from peft_asr.train.progress import Progress
from peft_asr.train.ranks import ALONE, Ranks
from peft_asr.train.state import load_state, save_state
from peft_asr.train.step import NonfiniteGuard, apply, gather
from peft_asr.train.stop import Interrupted, StopSignals
from peft_asr.train.stream import BatchStream, count_steps
from peft_asr.train.validate import Validation, validate

logger = logging.getLogger(__name__)


def fit(
    config: Config,
    experiment: Experiment,
    parts: Parts,
    device: torch.device,
    log: LogFile | None,
    overwrite: bool = False,
    ranks: Ranks = ALONE,
) -> None:
    """Train until the end, and leave the adapter in ``experiment``.

    The gradient of a step is that of the mean loss over all utterances of its ``accum`` batches (not the mean
    of the batches' means); the last step of an epoch has fewer batches if they do not divide evenly. A batch
    whose loss is not finite is left out of the mean.

    Between two steps the run is at a *boundary*: there it validates, saves, stops and resumes. The randomness
    of a batch depends on (seed, epoch, batch) alone, so the steps after a boundary are the same whether or
    not the run was interrupted there.

    All of ``ranks`` run this function side by side on their shares of the same batches, and go from boundary to
    boundary together; only rank 0 writes. Their number changes the order of sums and what dropout draws, nothing else.

    Raises:
        UserError: too many non-finite losses, the disk is full, the data changed since the state was saved.
        Interrupted: a signal stopped the run; its state is saved.
    """
    # 1. What trains, and for how long
    options, model, task = config.train, parts.model.to(device).train(), parts.task
    dtype = autocast_dtype(options.dtype, device)
    optimizer = build_optimizer(model, options)
    total_steps = count_steps(parts.train_loader, options)
    logger.info("what trains:\n%s", parameter_table(model.count_table()))
    logger.info(
        "%d steps on %s in %s", total_steps, device, str(dtype or torch.float32).removeprefix("torch.")
    )
    check_length(options, total_steps)

    # 2. Where an earlier run stopped, if there was one; one to overwrite goes only now that this one can begin
    if ranks.leader:
        experiment.begin(config, overwrite)
        if overwrite:
            log.drop_earlier()
    ranks.barrier()
    progress = load_state(experiment.state, model, optimizer, parts.data)
    if progress is not None:
        logger.info("resumed at step %d, epoch %d, batch %d", progress.step, progress.epoch, progress.batch)
    elif model.wants_first_batch:
        first = to_device(next(iter(parts.train_loader.epoch(1))), device)
        model.start(first.inputs, first.wav_lengths, first.at)
        ranks.follow_leader(list(model.trainable_state().values()))
    model.begin(total_steps)
    model.halve_frozen(dtype)
    progress = progress or Progress()
    if ranks.leader:
        log.cut_back(progress.step, progress.validated_step)
    saved_step, wall_s, started = progress.step, progress.wall_s, time.monotonic()

    # 3. What watches, and what feeds
    keeper = Keeper(experiment.checkpoints, options.keep_best, options.metric, parts.save, ranks)
    guard = NonfiniteGuard(config, progress.nonfinite_losses, progress.nonfinite_gradients)
    gradient_check = GradientCheck(named_parameters(optimizer))
    masker = build_masker(options.mask)
    stream = BatchStream(parts.train_loader, progress.epoch, progress.batch)
    board = experiment.tensorboard
    report = Journal if ranks.leader else SilentJournal
    journal = report(experiment.metrics, board, progress, total_steps, options.log_every)

    with StopSignals() as stop, journal:
        while True:
            # 4. A boundary: validate where it is due
            stopping, _ = ranks.agree(stop)
            at_end = progress.step >= total_steps or (0 < options.max_epochs < progress.epoch)
            if at_end and progress.step == 0:
                raise UserError("the run ended without one step: all batches were skipped, see the warnings")
            due = at_end or (progress.step > 0 and progress.step % options.valid_every == 0)
            if due and progress.validated_step < progress.step and not stopping:
                began = time.monotonic()
                result = validate(model, task, parts.valid_loader, device, dtype, stop, ranks)
                if result is not None:
                    progress.wall_s = wall_s + time.monotonic() - started
                    note_validation(config, progress, result, time.monotonic() - began, keeper, journal)
            at_end = at_end or (0 < options.patience <= progress.stale_validations)

            # 5. Save where it is due, then stop if asked to or done
            stopping, _ = ranks.agree(stop)
            due = progress.step != saved_step and progress.step % options.save_every == 0
            if due or at_end or stopping:
                progress.wall_s = wall_s + time.monotonic() - started
                if ranks.leader:
                    save_state(experiment.state, model, optimizer, progress, parts.data)
                keeper.sweep(progress)
                saved_step = progress.step
            if stopping:
                name = signal.Signals(stop.requested).name
                raise Interrupted(
                    stop.requested,
                    f"stopped by {name} at step {progress.step}, state saved in {experiment.state}; "
                    "run the same command again to go on",
                )
            if at_end:
                break

            # 6. Gather the gradient of the next step
            began, waited = time.monotonic(), stream.wait_s
            set_learning_rates(optimizer, progress.step, total_steps, options)
            optimizer.zero_grad(set_to_none=True)
            try:
                done = gather(
                    model,
                    task,
                    stream.take(options.accum),
                    seed=config.seed,
                    device=device,
                    dtype=dtype,
                    masker=masker,
                    guard=guard,
                    stop=stop,
                    ranks=ranks,
                )
            except (RuntimeError, OSError, EOFError) as err:
                # A signal to the whole process group ends the data workers too, but since the boundary nothing
                # has changed.
                if not stop.requested:
                    explain_failure(err, config, f" in epoch {stream.epoch}, batch {stream.batch}")
                    raise
                ranks.agree(stop)  # the others ask about this batch
                continue
            if done.stopped:
                continue

            # 7. Change the weights, unless there is nothing finite to change them with
            moved = False
            if done.utterances:
                norm = apply(optimizer, options.clip, done.utterances, ranks)
                moved = math.isfinite(norm)
                guard.gradient(moved, done.where)

            # 8. The next boundary
            progress.epoch, progress.batch = stream.epoch, stream.batch
            progress.nonfinite_losses, progress.nonfinite_gradients = guard.losses, guard.gradients
            if moved:
                progress.step += 1
                model.after_step(progress.step)
                progress.loss_sum += done.loss_sum
                progress.loss_utterances += done.utterances
                progress.add_time(time.monotonic() - began, done.seconds, stream.wait_s - waited)
                gradient_check.observe(progress.step)
                journal.step(done.loss_sum / done.utterances, learning_rates(optimizer), norm)

        # 9. The adapter
        stream.close()
        progress.wall_s = wall_s + time.monotonic() - started
        finish(config, experiment, parts, keeper, progress, device, dtype, stop, ranks)


def note_validation(
    config: Config, progress: Progress, result: Validation, valid_s: float, keeper: Keeper, journal: Journal
) -> None:
    """Record a validation, keep the weights if they are among the best, and start a new mean of the training
    loss."""
    explain_collapse(result, progress, config.train, journal.total_steps)
    record = {
        "step": progress.step,
        "epoch": progress.current_epoch,
        "train_loss": progress.train_loss,
        "valid_loss": result.loss,
        **{name: value for name, value in result.metrics.items() if name != "loss"},
        "blank_share": result.blank_share,
        "valid_s": round(valid_s, 3),
        "seconds": round(progress.wall_s, 3),
    }
    progress.history.append(record)
    improved = keeper.consider(progress, result.metrics)
    progress.stale_validations = 0 if improved else progress.stale_validations + 1
    progress.validated_step = progress.step
    progress.loss_sum, progress.loss_utterances = 0.0, 0
    journal.validation(record, result.example)
