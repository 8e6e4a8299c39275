"""Times of the public functions beside those of an older commit, call by call in turns.

    python -m benchmarks.beside_commit COMMIT [--minutes 8]

Each version runs in a process of its own, with its own kept programs; the processes answer one call at a time, in
turns, so that what changes the machine's speed changes both. Every other round runs backwards; a ratio is the median of
the rounds' ratios. On the CPU, a device for each core, weights and images drawn at random, ResNet-50 but where a row
says otherwise. Score-CAM of ResNet-18 at 112 pixels takes 1,024 masked images a call. The older commit is checked out
into a temporary folder and must know the public functions; both run in this environment.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BATCH, SIZE = 8, 224


def serve() -> None:
    """Answer each name of a work that comes in with the seconds that one call took."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    from castream_jax.cpu import use_cores_as_devices

    use_cores_as_devices(BATCH)
    from benchmarks.allocation import keep_freed_memory
    from benchmarks.interleaved import seconds

    keep_freed_memory()
    works = list_works()
    print(json.dumps(list(works)), flush=True)
    for line in sys.stdin:
        print(seconds(works[line.strip()]), flush=True)


def list_works() -> dict[str, Callable[[], object]]:
    """Return what is timed, by name: the public functions alone, which both versions have."""
    import jax
    import numpy as np
    from flax import nnx

    import castream_jax as ca

    generator = np.random.default_rng(0)
    images = generator.normal(size=(BATCH, SIZE, SIZE, 3)).clip(-1.8, 2.2).astype(np.float32)
    labels = np.arange(BATCH, dtype=np.int32)
    maps = generator.random((2, 7, 7)).astype(np.float32)
    works: dict[str, Callable[[], object]] = {}
    for name in ("resnet50", "convnext_base"):
        for dtype in ("float32", "bfloat16"):
            graphdef, state = nnx.split(ca.create_model(name, dtype=dtype))
            run = jax.jit(lambda state, graphdef=graphdef: nnx.merge(graphdef, state)(images[:4]))
            works[f"forward, {name}, {dtype}, 4 images, one core"] = functools.partial(run, state)
    large, small = ca.create_model("resnet50"), ca.create_model("resnet18")
    works[f"Grad-CAM, batch {BATCH}"] = lambda: ca.attribute(large, images, labels, "grad_cam")
    works["AD, AG, AI, I and D, 2 images"] = lambda: ca.evaluate_maps(large, images[:2], labels[:2], maps)
    few = images[:2, ::2, ::2]
    works["Score-CAM, ResNet-18, 2 images of 112 pixels"] = lambda: ca.attribute(small, few, labels[:2], "score_cam")
    return works


class Version:
    """A process that runs one version."""

    def __init__(self, tree: Path, cache: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(tree), "JAX_COMPILATION_CACHE_DIR": str(cache)}
        command = [sys.executable, "-P", "-W", "ignore", __file__, "--serve"]
        self.process = subprocess.Popen(
            command, cwd=tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.works: list[str] = self.read()

    def read(self):
        """Return its next answer."""
        assert self.process.stdout
        while line := self.process.stdout.readline():
            if line[0] in "[0123456789":
                return json.loads(line)
        raise SystemExit(f"the version in {self.process.args} ended with {self.process.wait()}")

    def time(self, work: str) -> float:
        """Return the seconds of one call."""
        assert self.process.stdin
        self.process.stdin.write(f"{work}\n")
        self.process.stdin.flush()
        return self.read()


def main(commit: str, minutes: float) -> None:
    """Print a table."""
    from benchmarks.bench import machine
    from benchmarks.interleaved import ratios

    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], cwd=ROOT, check=True)
        versions: dict[str, Version] = {}
        try:
            for name, root in (("then", tree), ("now", ROOT)):
                versions[name] = Version(root, Path(folder, name))
            works = versions["now"].works
            turns = {(work, name): versions[name] for work in works for name in versions}
            times: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
            for (work, _), version in turns.items():
                version.time(work)  # compiles
            began, rounds = time.monotonic(), 0
            while rounds < 3 or time.monotonic() - began < 60 * minutes:
                for turn in reversed(turns) if rounds % 2 else turns:
                    times[turn].append(turns[turn].time(turn[0]))
                rounds += 1
        finally:
            for version in versions.values():
                version.process.kill()
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)
    print(f"{machine()}; {rounds} rounds; load {os.getloadavg()[0]:.1f}\n")
    print("| work | then, s | now, s | then / now | quartiles |\n|---|---:|---:|---:|---|")
    for work in works:
        then, now = times[work, "then"], times[work, "now"]
        low, middle, high = ratios(then, now)
        print(f"| {work} | {min(then):.3f} | {min(now):.3f} | {middle:.2f} | {low:.2f}-{high:.2f} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("commit")
        parser.add_argument("--minutes", type=float, default=8.0)
        main(**vars(parser.parse_args()))
