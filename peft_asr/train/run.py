"""A training run: an experiment directory, the parts that the config names, and the loop."""

import contextlib
import logging
import os

from peft_asr.config import Config
from peft_asr.tasks import resolve
from peft_asr.train.build import build_parts
from peft_asr.train.check import check_options
from peft_asr.train.experiment import Experiment
from peft_asr.train.logfile import logging_to
from peft_asr.train.loop import fit
from peft_asr.train.monitor import explain_failure
from peft_asr.train.precision import pick_device
from peft_asr.train.ranks import joined

logger = logging.getLogger(__name__)


def train(config: Config, exp: str | os.PathLike, *, overwrite: bool = False, ngpu: str = "auto") -> None:
    """Train what ``config`` describes in the folder ``exp``, or go on where such a run stopped.

    Args:
        exp: the experiment directory; a finished one with the same config is left as it is.
        overwrite: start afresh, whatever lies there.
        ngpu: as ``pick_device`` takes it.

    Where a launcher has started several processes, each calls this with the same arguments.

    Raises:
        UserError: the options, the data, the upstream or the experiment directory do not allow it.
        Interrupted: a signal stopped the run; it can be resumed.
    """
    check_options(config)
    config = resolve(config)
    device = pick_device(ngpu)
    experiment = Experiment(exp)
    with joined(device) as ranks, experiment.locked() if ranks.leader else contextlib.nullcontext():
        if ranks.leader:
            experiment.admit(config, overwrite)
        complete = ranks.gather(experiment.complete)[0]
        if complete and not overwrite:
            logger.info(
                "%s is already complete: nothing to do (--overwrite true trains again)", experiment.folder
            )
            return
        with logging_to(experiment.log) if ranks.leader else contextlib.nullcontext() as log:
            try:
                fit(
                    config,
                    experiment,
                    build_parts(config, ranks, device.type == "cuda"),
                    device,
                    log,
                    overwrite,
                    ranks,
                )
            except RuntimeError as err:
                explain_failure(err, config)
                raise
