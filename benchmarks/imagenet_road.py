"""The road of docs/imagenet.md, walked on stand-ins: what the page says is typed in its order, archives to reports.

    python -m benchmarks.imagenet_road

Commands are read from the page itself and run as processes, by `python` and `castream` of this environment, in
`build/imagenet_road/`, which is made anew; their home directory is in it. Pictures and labels are `imagenet_stand_ins`,
in ImageNet's names and layouts. What must differ is added at the end of a command (`ADDED`), or the command is not
typed (`LEFT_OUT`); the reason of each is printed. Nothing measured here is ImageNet's.

Every command must end with exit code 0 and no traceback, the commands that it names must exist, and a report must have
the poolings of its config, ImageNet's classes in words and its page. At the end, labels and boxes of all layouts are
compared. Needs the extras `prepare` and `dev`, and 2 GB of disk; a quarter of an hour on 2 cores.
"""

import contextlib
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from flax import nnx
from safetensors.numpy import save_file

import castream_jax as ca
from benchmarks.imagenet_stand_ins import LAYOUTS, make_stand_ins
from castream_jax.cli.command import parse_flags
from castream_jax.cli.main import COMMANDS
from castream_jax.data.source import Source, open_source

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "build" / "imagenet_road"
PAGE = "docs/imagenet.md"
NUM_VALIDATION = 200
NETWORKS = ("resnet18", "resnet50", "convnext_base")
GAIN = 0.7
"""Of all normalisations: with 1, the features of 16 random blocks are so large that no rate is small enough."""
TRAIN, EVALUATE = r"python train\.py .*", r"python evaluate\.py (?!.*--dry_run).*"

ADDED = (
    # Of a command, what is added at its end, and why.
    (r".*resnet50_.*", "--config.weights=resnet50.safetensors", "published weights are downloaded: random ones"),
    (r".*resnet18_.*", "--config.weights=resnet18.safetensors", "the same"),
    (r".*convnext_.*", "--config.weights=convnext_base.safetensors", "the same"),
    (r".*imagenette_.*", "--config.data.name=./imagenette2", "it is downloaded: its folders, unpacked"),
    (r"python (train|evaluate)\.py .*", "--config.data.image_size=64", "224 pixels take 12 times as long"),
    (TRAIN, "--config.stream.epochs=1", "instead of 90, or 10"),
    (rf"(?!.*imagenette){TRAIN}", "--config.data.train_split=train[:512]", "two steps of 256"),
    (rf"(?=.*imagenette){TRAIN}", "--config.stream.batch_size=8", "there are 40 pictures"),
    (EVALUATE, "--config.evaluation.num_images=4 --config.evaluation.batch_size=4", "instead of 50,000 and 16"),
    (rf"(?=.*resnet50_gap){EVALUATE}", "--config.evaluation.attributions=('grad_cam','grad_cam_pp')",
     "Score-CAM takes 2,048 passes an image; it is walked with Imagenette's ResNet-18"),
    (rf"(?=.*_ca)(?!.*imagenette){EVALUATE}", "--config.evaluation.attributions=('grad_cam','attention')",
     "the page's smaller beginning"),
    (rf"(?=.*resnet50_ca){EVALUATE}", "--config.data.boxes=BOXES", "the page's: how well maps point"),
)  # fmt: skip
LEFT_OUT = (
    (r"python -c import torchvision.*", "torchvision downloads weights"),
    (r"castream prepare imagenette", "it downloads 1.5 GB"),
)


def read_page() -> list[list[str]]:
    """Return the words of each command of the page, in its order."""
    from tests.documented import read_blocks, read_commands

    return [list(found.words) for block in read_blocks() if block.page == PAGE for found in read_commands(block)]


def check_patterns(lines: Sequence[str]) -> None:
    """Exit if something is said of commands that the page does not have."""
    for pattern, *_ in (*ADDED, *LEFT_OUT):
        if not any(re.fullmatch(pattern, line) for line in lines):
            sys.exit(f"no command of {PAGE} is like {pattern!r}: the page has changed, and this file has not")


def add(command: str) -> list[tuple[str, str]]:
    """Return what is added to a command, each with its reason."""
    return [(flags, reason) for pattern, flags, reason in ADDED if re.fullmatch(pattern, command)]


def make_place() -> None:
    """Make the directory that commands are typed in: the clone's files, what the page calls DIR, layouts, weights."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    for name in ("train.py", "evaluate.py", "configs"):
        (PLACE / name).symlink_to(ROOT / name)
    make_stand_ins(PLACE, NUM_VALIDATION)
    for name in NETWORKS:
        save_file(draw_weights(name), PLACE / f"{name}.safetensors")


def draw_weights(name: str) -> dict[str, np.ndarray]:
    """Return random weights in the names of the published ones; they are sure of no class, and their stream trains."""
    from tests.networks import fill

    graphdef, state = nnx.split(fill(nnx.eval_shape(lambda: ca.create_model(name, "gap"))))
    tempered = [
        (path, variable.replace(variable[...] * GAIN) if path[-1] == "scale" else variable)
        for path, variable in nnx.to_flat_state(state)
    ]
    return ca.export_weights(nnx.merge(graphdef, nnx.from_flat_state(tempered)))


def type_in(words: Sequence[str]) -> tuple[int, str]:
    """Run a command as a shell does that has this environment activated; return its exit code and what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TFDS_DATA_DIR", "TORCH_HOME", "HF_HOME")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = kept | {"PATH": path, "HOME": str(PLACE / "home"), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        words, cwd=PLACE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ended.returncode, ended.stdout


def find_faults(command: str, code: int, printed: str) -> Iterator[str]:
    """Yield what is wrong with how a command ended."""
    if code:
        yield f"exit code {code}"
    if "Traceback" in printed:
        yield "a traceback"
    for named in re.findall(r"(?:^ *|Next: )((?:python \w+\.py|castream \w+) .*)$", printed, re.M):
        try:
            check_exists(shlex.split(named))
        except (ca.InputError, ValueError) as error:
            yield f"it names {named!r}: {error}"
    if re.fullmatch(EVALUATE, command) and not code:
        yield from find_faults_of_report(command, printed)


def check_exists(words: list[str]) -> None:
    """Raise an error unless a command that was printed can be typed."""
    name = Path(words[1]).stem
    if name not in COMMANDS or (words[0] == "python" and not (ROOT / words[1]).is_file()):
        raise ValueError("there is no such command")
    if name in ("train", "evaluate"):
        with contextlib.chdir(PLACE):
            parse_flags(words[1:], switches=["dry_run"])


def find_faults_of_report(command: str, printed: str) -> Iterator[str]:
    """Yield what a report lacks."""
    said = re.search(r"^report: (.*)$", printed, re.M)
    page = PLACE / (said[1] if said else "report.html")
    if not page.is_file():
        yield "no report.html"
        return
    report = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    poolings = 1 if "_gap" in command else 2
    if len(report["accuracy"]) != poolings:
        yield f"{len(report['accuracy'])} poolings, not {poolings}"
    if "resnet50_ca" in command and not any(report.get("localised_images", {}).values()):
        yield "nothing of where objects are, with their boxes"
    labels = set(pq.read_table(page.with_name("rows.parquet"))["label"].to_pylist())
    words = [report["class_names"][label] for label in labels]
    text = html.unescape(page.read_text(encoding="utf-8"))
    if missing := [name for name in words if re.fullmatch(r"n\d{8}", name) or name not in text]:
        yield f"classes that are not there in words: {missing}"


def compare_truth() -> Iterator[tuple[str, str]]:
    """Yield whether labels of unpacked layouts, and ImageNet's boxes, are those of the dataset made of the archives."""
    datasets = str(PLACE / "home" / "tensorflow_datasets")
    for split in ("train", "validation"):
        prepared = read_all(open_source("imagenet2012", split, datasets), "label")
        for layout in LAYOUTS:
            found = read_all(open_source("imagenet2012", split, str(PLACE / layout)), "label")
            yield f"labels of {layout}, {split}", "as the archives'" if found == prepared else "OTHERS"
    boxed = read_all(open_source("imagenet2012", "validation", datasets, str(PLACE / "BOXES")), "bbox")
    kaggle = read_all(open_source("imagenet2012", "validation", str(PLACE / "KAGGLE")), "bbox")
    yield "boxes of BOXES beside the archives' dataset", "as Kaggle's" if boxed == kaggle else "OTHERS"


def read_all(source: Source, field: str) -> dict[str, list]:
    """Return a field of each picture's record by the picture's name."""
    records = (source[i] for i in range(len(source)))
    return {
        Path(os.fsdecode(record.get("file_name", record.get("id")))).name: np.asarray(record[field]).tolist()
        for record in records
    }


def walk() -> Iterator[tuple[str, float, str]]:
    """Type the page's commands and yield each, the seconds that it took, and its faults; ends at the first of them."""
    commands = read_page()
    first = next(words for words in commands if "--dry_run" in words)
    unpacked = [[*first, f"--config.data.directory={layout}"] for layout in LAYOUTS]
    for number, words in enumerate([*unpacked, *commands]):
        command = " ".join(words)
        if left_out := next((reason for pattern, reason in LEFT_OUT if re.fullmatch(pattern, command)), ""):
            yield command, 0.0, f"not typed: {left_out}"
            continue
        added = add(command)
        print(f"\n$ {shlex.join(words)}", flush=True)
        for flags, reason in added:
            print(f"    {flags}    # {reason}", flush=True)
        began = time.monotonic()
        code, printed = type_in([*words, *(flag for flags, _ in added for flag in flags.split())])
        seconds = time.monotonic() - began
        (PLACE / f"{number:02}.log").write_text(printed, encoding="utf-8")
        print(printed[-4000:], flush=True)
        faults = list(find_faults(command, code, printed))
        yield command, seconds, "; ".join(faults) or "well"
        if faults:
            return


def main() -> None:
    """Walk, and print a table in Markdown; exit code 1 after a fault."""
    for package, extra in (("tensorflow", "prepare"), ("markdown_it", "dev")):
        if not find_spec(package):
            sys.exit(f"{package} is not installed: pip install -c constraints.txt -e '.[{extra}]'")
    check_patterns([" ".join(words) for words in read_page()])
    make_place()
    steps = list(walk())
    if all(result == "well" or result.startswith("not typed") for _, _, result in steps):
        steps += [(name, 0.0, result) for name, result in compare_truth()]
    print("\n| typed | seconds | result |\n|---|---:|---|")
    for command, seconds, result in steps:
        print(f"| `{command}` | {f'{seconds:.0f}' if seconds else ''} | {result} |")
    wrong = [result for _, _, result in steps if not re.match("well|not typed|as ", result)]
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
