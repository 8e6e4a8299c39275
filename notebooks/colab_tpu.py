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
# # Train a CA-Stream, measure it, look at it
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/castream_jax/blob/main/notebooks/colab_tpu.ipynb)
#
# A CA-Stream replaces the global average pooling (GAP) of a trained, frozen network by attention (CA). This notebook
# trains one on a pretrained ResNet-18 and [Imagenette](https://github.com/fastai/imagenette), ten classes of ImageNet,
# measures how well saliency maps explain both networks, and shows them. With `DEMO = True` it does the same for
# handwritten digits on photographs, without any download.
#
# | | Imagenette | demo |
# |---|---|---|
# | download | 342 MB of pictures, 47 MB of weights | none |
# | 2 CPU cores | not measured | 4 min 49 s with installation; 1.0 GB of memory in training |
# | T4 GPU | not measured | not measured |
# | TPU v5e | not measured | not measured |

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
DEMO = False  # True: handwritten digits instead of Imagenette
WORKDIR = ""  # where checkpoints and reports go; empty: runs/<the experiment's name>
FLAGS = []  # changes of settings, as ["--config.stream.epochs=3"]
SAVE_TO = "/content/drive/MyDrive/castream_jax"  # in Colab, a folder of your Google Drive; empty: save nothing

# %% [markdown]
# ## Data
#
# The demo makes its pictures itself. Imagenette is fetched as pictures in folders, of which the shorter side is 320
# pixels; `configs/imagenette_resnet18_ca.py` alone would read the full-size pictures, prepared with TensorFlow.

# %%
import hashlib
import urllib.request
from pathlib import Path

if not DEMO:
    archive = Path("imagenette2-320.tgz")
    if not archive.exists():
        urllib.request.urlretrieve(f"https://s3.amazonaws.com/fast-ai-imageclas/{archive}", archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    is_whole = digest == "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"
    assert is_whole, f"the download was cut off: delete {archive} and run this cell again"
    shutil.unpack_archive(archive)
    FLAGS += ["--config.data.name=image_folder", "--config.data.directory=imagenette2-320"]
    FLAGS += ["--config.data.validation_split=val", "--config.evaluation.split=val"]

# %% [markdown]
# ## Train
#
# The network stays as it is: only the stream's class token and its projections are trained. Run this cell again after
# an interruption, and training goes on where it stopped.

# %%
from castream_jax.cli.command import parse_flags, show_log
from castream_jax.training.loop import train
from castream_jax.training.summary import read_summary

show_log()
config = "demo" if DEMO else "imagenette_resnet18_ca"
run = parse_flags(["train", f"--config={config}", f"--workdir={WORKDIR}", *FLAGS])
train(run.experiment, run.workdir)
summary = read_summary(run.workdir)
print(f"validation accuracy: GAP {summary['accuracy_gap']:.1%}, CA {summary['accuracy']:.1%}")
print(f"{summary['images_per_second'] or 0:,.0f} images/s, {(summary['peak_memory_bytes'] or 0) / 1e9:.1f} GB at most")

# %% [markdown]
# ## Measure
#
# How much of the class's probability is left when only what a map marks is kept, and how it falls and rises as pixels
# are removed and added in the map's order. Arrows say which way is better; brackets are 95 % intervals. The null maps
# know nothing of the network: what a metric gives them, it gives for nothing.

# %%
from IPython.display import Image, Markdown, display

from castream_jax.evaluation.runner import evaluate
from castream_jax.report.writing import write_evaluation

evaluation = evaluate(run.experiment, run.workdir)
report, directory = write_evaluation(evaluation, run.experiment, run.workdir)
display(Markdown((directory / "report.md").read_text()))

# %% [markdown]
# ## Look
#
# Each row is a picture: what the network saw, the stream's own attention, and each attribution for GAP and CA.

# %%
display(Image(directory / "figures" / "grid.png", width=900))
display(Image(directory / "figures" / "curves.png", width=900))

# %% [markdown]
# ## Save
#
# Checkpoints, logs and the report (`evaluation/<protocol>/report.html` opens in any browser), before Colab takes the
# machine away. `explain_your_own.ipynb` explains your own pictures with this network: give it the same folder.

# %%
if "google.colab" in sys.modules and SAVE_TO.startswith("/content/drive"):
    from google.colab import drive

    drive.mount("/content/drive")
elif SAVE_TO.startswith("/content"):
    SAVE_TO = ""  # not in Colab: the run stays where it is
if SAVE_TO:
    saved = shutil.copytree(run.workdir, Path(SAVE_TO) / run.workdir.name, dirs_exist_ok=True)
    print(f"saved to {saved}")
