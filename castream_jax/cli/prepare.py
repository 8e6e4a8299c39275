"""Gets a dataset ready, once, and says which commands use it.

  castream prepare NAME [--manual=DIR]     a TFDS dataset, castream_demo, or mit67
  castream prepare NAME --images=ROOT      pictures in ROOT/<split>/<class>/, as a dataset called NAME
                        [--classes=FILE]   with labels in the order of a list
  castream prepare NAME --tfrecords=DIR    TFRecords that TFDS wrote, as a dataset called NAME

It may be interrupted at any time; the same command goes on. See docs/data.md.
"""

import argparse
import re
import sys
from pathlib import Path

from castream_jax.cli.arguments import Parser
from castream_jax.cli.ending import ends_in_a_message
from castream_jax.data.builders import mit67
from castream_jax.data.prepare.generation import plan_generation
from castream_jax.data.prepare.image_copy import plan_copy, plan_folder_copy
from castream_jax.data.prepare.next_steps import word_next
from castream_jax.data.prepare.preparation import Plan, carry_out
from castream_jax.data.prepare.record_shards import ORIGIN
from castream_jax.data.prepare.tfrecords import plan_conversion
from castream_jax.data.sources.prepared import OTHER_NAMES, OWN_ARCHIVES, OWN_BUILDERS
from castream_jax.errors import InputError


def main(argv: list[str] | None = None) -> None:
    """Run the command; exit code 2 and one message after a mistake, 130 after Ctrl-C."""
    with ends_in_a_message("interrupted; the same command goes on"):
        options = parse(sys.argv if argv is None else argv)
        plan = make_plan(options)
        if plan.path.exists():
            check_origin(plan)
            print(f"{plan.name} is ready already: {plan.path}")
        else:
            carry_out(plan, options.skip_disk_check)
            print(f"ready: {plan.path}")
        print("use it with:", *word_next(plan.name, options.directory), sep="\n  ")


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or raise `InputError`."""
    parser = Parser("castream prepare", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", metavar="NAME", help="what the dataset is, or will be, called")
    parser.add_argument("--directory", metavar="DIR", default="", help="where datasets are kept (as TFDS does)")
    parser.add_argument("--manual", metavar="DIR", default="", help="the folder with what you downloaded yourself")
    parser.add_argument("--images", metavar="ROOT", default="", help="copy an image folder")
    parser.add_argument("--classes", metavar="FILE", default="", help="the classes of --images by label, one a line")
    parser.add_argument("--tfrecords", metavar="DIR", default="", help="convert TFRecords: the folder of one version")
    parser.add_argument("--skip_disk_check", action="store_true", help="begin though the disk seems too small")
    options = parser.parse_args(argv[1:])
    if not (options.images or options.tfrecords):
        options.name = OTHER_NAMES.get(options.name, options.name)
    given = [flag for flag in ("manual", "images", "tfrecords") if getattr(options, flag)]
    if len(given) > 1:
        raise InputError(f"--{given[0]} and --{given[1]} are two ways to make {options.name}: give one of them.")
    if options.classes and not options.images:
        raise InputError("--classes lists the classes of an image folder: give --images=ROOT too.")
    return options


def make_plan(options: argparse.Namespace) -> Plan:
    """Choose the way that the flags ask for."""
    name, directory = options.name, options.directory
    if options.images or options.tfrecords:
        form = r"[a-z][a-z0-9_]*" + (r"(/[\w+.-]+)?" if options.tfrecords else "")
        if not re.fullmatch(form, name, re.ASCII) or name in ("image_folder", *OWN_ARCHIVES, *OWN_BUILDERS):
            raise InputError(f"{name!r} cannot be the name of a dataset of yours: expected small letters, digits, _.")
    if options.images:
        return plan_folder_copy(name, Path(options.images).expanduser(), directory, options.classes)
    if options.tfrecords:
        return plan_conversion(name, Path(options.tfrecords).expanduser(), directory)
    if name == "mit67":
        manual = Path(options.manual).expanduser().absolute()
        return plan_copy(name, "MIT Indoor Scenes", lambda: mit67.open_archive(manual), directory)
    return plan_generation(name, options.manual, directory)


def check_origin(plan: Plan) -> None:
    """Raise `InputError` if a finished dataset was made from something else than the flags name."""
    mark = plan.path / ORIGIN
    origin = mark.read_text().splitlines()[0] if mark.exists() else ""
    if plan.origin and origin != plan.origin:
        raise InputError(
            f"{plan.path} is there already, made from {origin or 'something else'} and not from {plan.origin}: choose "
            "another name or directory, or delete it."
        )
