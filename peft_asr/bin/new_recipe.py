"""Make egs/NAME from another recipe: its scripts, configurations and README; no data and no results."""

import argparse

from peft_asr.recipes import new_recipe, source_tree


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``peft-asr new-recipe``."""
    parser.add_argument("name", help="of the new recipe")
    parser.add_argument("--from", dest="source", default="TEMPLATE", help="the recipe to start from")


def run(args: argparse.Namespace) -> None:
    """Copy, and say what to edit next."""
    root = source_tree()
    folder, left = new_recipe(args.name, args.source, root)
    print(f"{folder}: made from {args.source}")
    if left:
        print(f"not copied from egs/{args.source}: {', '.join(left)}; db.sh or --db says where such data are")
    print("edit next:")
    for file, what in (
        ("db.sh", "where the corpus is"),
        ("local/data.sh", "how it becomes data/train, data/dev, data/test"),
        ("run.sh", "the names of the sets, defaults and options of its own"),
        ("conf/train.yaml", "head, learning rates, number of steps"),
        ("README.md", "what the corpus is, its licence, how to get it"),
    ):
        if (folder / file).exists():
            print(f"  {file:<16} {what}")
    print(f"try it:  cd {folder} && ./run.sh --db CORPUS --dry_run true")
