"""From pictures and captions to a FeatureTable: encoders by name, and the loop that reads, encodes and keeps count."""

from pointwise.encoders.load import ENCODERS as ENCODERS
from pointwise.encoders.load import load_encoder as load_encoder
from pointwise.encoders.load import load_text_encoder as load_text_encoder
from pointwise.encoders.loop import encode as encode
from pointwise.encoders.protocol import Encoder as Encoder
from pointwise.encoders.protocol import TextEncoder as TextEncoder
