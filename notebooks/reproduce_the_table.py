# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reproduce a row of the paper's table
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/castream_jax/blob/main/notebooks/reproduce_the_table.ipynb)
#
# First what it costs, on the machine you have; then, if you say so, the training and the evaluation, both of which go
# on where they stopped when you run this notebook again.
#
# The paper's numbers are of ImageNet, which you must have: [prepare it
# once](https://github.com/OWNER/castream_jax/blob/main/docs/data.md), 156 GiB. Without it, `imagenette_resnet18_ca` and
# `demo` rehearse the same on small data; their numbers compare with nothing but themselves.
#
# | | `resnet50_ca`, `convnext_ca` on ImageNet | `demo` |
# |---|---|---|
# | 2 CPU cores | not measured | 4 min 49 s with installation; 1.0 GB of memory in training |
# | T4 GPU | not measured | not measured |
# | TPU v5e | not measured | not measured |
#
# The dry run below predicts the time for the machine it runs on.

# %% [markdown]
# ## Install
#
# In Colab this cell fetches the package with its configs and installs it for the accelerator it finds; *Runtime →
# Change runtime type* is where you choose a TPU, a GPU or none. Elsewhere it does nothing: the package is installed.
# If Colab asks you to restart the session, do so, and start again from the top.

# %%
import glob
import shutil
import sys

if "google.colab" in sys.modules:
    is_tpu = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*")
    extra = "[cuda12]" if shutil.which("nvidia-smi") else "[tpu]" if is_tpu else ""
    clone = "/content/castream_jax"
    # !test -d {clone} || git clone --quiet --depth 1 https://github.com/OWNER/castream_jax {clone}
    # %pip install --quiet "{clone}{extra}"
    sys.path.insert(0, clone)

# %%
import jax

print(f"jax {jax.__version__} computes on {jax.device_count()} x {jax.devices()[0].device_kind}")

# %% [markdown]
# ## Choose

# %% tags=["parameters"]
CONFIG = "resnet50_ca"  # a file of configs/, without .py
WORKDIR = ""  # where checkpoints and reports go; empty: runs/<the experiment's name>
FLAGS = []  # changes of settings, as ["--config.data.directory=/data", "--config.evaluation.num_images=1000"]
GO = False  # True: train and measure, after you have seen the cost

# %% [markdown]
# ## What was published
#
# The config says what it reproduces and how.

# %%
import ast

from castream_jax.cli.command import parse_flags, show_log
from castream_jax.cli.origin import find_config

show_log()
published = ast.get_docstring(ast.parse(find_config(CONFIG).read_text()))
run = parse_flags(["evaluate", f"--config={CONFIG}", f"--workdir={WORKDIR}", *FLAGS])
print(published)

# %% [markdown]
# ## What it costs
#
# The evaluation's passes, and the rate of this machine, which ten seconds of calibration tell: the weights that
# training will find change nothing about it. Training the stream takes one forward pass for each image and epoch, and a
# little more; it is the reading of pictures that must keep up.

# %%
from castream_jax.data.source import open_split
from castream_jax.evaluation.estimate import estimate, measure_rate
from castream_jax.experiment.resolved import resolve_untrained
from castream_jax.report.selection import most_images

data, settings = run.experiment.data, run.experiment.stream
print("Evaluation:", estimate(run.experiment, most_images(run.experiment.evaluation.num_figures)))
source = open_split(data, data.train_split)
rate = measure_rate(resolve_untrained(run.experiment)) * jax.process_count()
passes = settings.epochs * len(source)
print(f"\nTraining the stream: {settings.epochs} x {len(source):,} images = {passes:,} passes,")
print(f"{rate:,.0f} a second: {passes / rate / 3600:,.2f} hours.")

# %% [markdown]
# ## Train
#
# Nothing happens here before you set `GO = True` above and run the notebook again. A GAP network needs no training.

# %%
from castream_jax.training.loop import train

if GO and run.experiment.model.pooling == "ca":
    train(run.experiment, run.workdir)

# %% [markdown]
# ## Measure
#
# Rows are kept as they come: an evaluation that was stopped computes what is missing, and ends in the same numbers.

# %%
from IPython.display import Image, Markdown, display

from castream_jax.evaluation.runner import evaluate
from castream_jax.report.writing import write_evaluation

if GO:
    evaluation = evaluate(run.experiment, run.workdir)
    report, directory = write_evaluation(evaluation, run.experiment, run.workdir)
    print(published)
    display(Markdown((directory / "report.md").read_text()))
    display(Image(directory / "figures" / "grid.png", width=900))
else:
    print("GO is False: this is as far as the dry run goes.")
