"""The readers by name."""

from benchmarks.fuzz.boxes import BOXES
from benchmarks.fuzz.configs import CONFIGS
from benchmarks.fuzz.listings import LISTINGS
from benchmarks.fuzz.pictures import PICTURES
from benchmarks.fuzz.weights import WEIGHTS

READERS = {reader.name: reader for reader in (WEIGHTS, PICTURES, BOXES, LISTINGS, CONFIGS)}
