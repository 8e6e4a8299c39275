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
# # Explain your own pictures
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/castream_jax/blob/main/notebooks/explain_your_own.ipynb)
#
# What a network sees in your pictures: its predictions, and saliency maps of the classes it considers, as figures and
# as a gallery with sliders. It is a ResNet-50 trained on ImageNet, with global average pooling (GAP), or a network that
# you trained with `colab_tpu.ipynb`, whose attention (CA) is shown, too.
#
# | | a picture under ResNet-50, with Score-CAM |
# |---|---|
# | 2 CPU cores | not measured |
# | T4 GPU | not measured |
# | TPU v5e | not measured |
#
# The weights of ResNet-50 are a download of 102 MB.

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
PICTURES = []  # files, folders, patterns as "photos/*.jpg"; empty: choose files in Colab, elsewhere three examples
CONFIG = "resnet50_gap"  # a file of configs/, without .py
WORKDIR = ""  # for a network of yours: the folder of its run, as "/content/drive/MyDrive/castream_jax/demo"
FLAGS = []  # changes of settings; for a network of yours, those it was trained with
CLASSES = []  # explain these in every picture, by name or label, as ["tabby", 285]; empty: what is predicted
GALLERY = "explanations.html"  # the file to write the gallery to

# %% [markdown]
# ## Pictures
#
# Of any format, size and orientation; they stay on this machine.

# %%
from pathlib import Path

import skimage

from castream_jax.explanation.pictures import find_pictures

if not PICTURES and "google.colab" in sys.modules:
    from google.colab import files

    PICTURES = list(files.upload())
if not PICTURES:
    PICTURES = [f"{Path(skimage.__file__).parent}/data/{name}" for name in ("chelsea.png", "coffee.png", "rocket.jpg")]
pictures = find_pictures(PICTURES)

# %% [markdown]
# ## Network
#
# ImageNet's labels are codes, as n02123045; their names are fetched from a list of the PyTorch project.

# %%
import urllib.request

from castream_jax.cli.command import parse_flags
from castream_jax.experiment.loading import load_trained
from castream_jax.explanation.classes import find_class_names

run = parse_flags(["explain", f"--config={CONFIG}", f"--workdir={WORKDIR}", *FLAGS])
file = ""
if run.experiment.data.name == "imagenet2012":
    url = "https://raw.githubusercontent.com/pytorch/hub/master/imagenet_classes.txt"
    file, _ = urllib.request.urlretrieve(url, "imagenet_classes.txt")
names = find_class_names(run.experiment, file, run.workdir)
model = load_trained(run.experiment, run.workdir, len(names))

# %% [markdown]
# ## Maps
#
# The brighter, the more the class's score owes to the place. Each attribution is one answer to what that means.

# %%
import castream_jax as ca

labels = [CLASSES] * len(pictures) if CLASSES else None
explanation = ca.explain(model, pictures, labels, class_names=names)
explanation

# %% [markdown]
# ## Gallery
#
# The same to look through, with sliders: any class, any attribution, as strong as you like. It is one file that needs
# no network; keep it.

# %%
import html

from IPython.display import HTML

explanation.save(GALLERY)
page = html.escape(Path(GALLERY).read_text(encoding="utf-8"))
HTML(f'<div><iframe srcdoc="{page}" width="100%" height="800" style="border: 0"></iframe></div>')
