"""What a benchmark ran on: machine, versions, commit."""

from pathlib import Path

from peft_asr.bench.setting import Setting
from peft_asr.report.environment import cpu_features, environment_line, version_of
from peft_asr.report.rows import commit_of

_MORE = ("transformers", "speechbrain", "espnet")


def surroundings(setting: Setting, page: Path | None) -> dict:
    """What decided the figures. A changed ``page`` is no change of the code.

    Keys: ``environment``, ``versions``, ``cpu_features``, ``threads``, ``device``, ``commit``, ``geometry``, ..."""
    versions = {name: version_of(name) or "not installed" for name in _MORE}
    return {
        "environment": environment_line(),
        "versions": versions,
        "cpu_features": cpu_features(),
        "commit": commit_of(Path(__file__).parent, [page] if page else []),
        **setting.key(),
    }


def surroundings_lines(about: dict) -> list[str]:
    """The same for a reader, a few lines."""
    others = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return [
        f"Environment: {about['environment']}; CPU features {', '.join(about['cpu_features']) or 'unknown'}; {others}.",
        f"Run: commit {about['commit']}, {about['device']}, {about['threads']} threads, {about['geometry']} geometry "
        f"with random weights, batches of at most {about['batch_s']:g} s, {about['steps']} steps after "
        f"{about['warmup']} of warm-up, seed {about['seed']}.",
    ]
