"""What turns pictures and texts into features: encoders by name."""

from pointwise.encoders.load import ENCODERS as ENCODERS
from pointwise.encoders.load import load_encoder as load_encoder
from pointwise.encoders.load import load_text_encoder as load_text_encoder
from pointwise.encoders.protocol import Encoder as Encoder
from pointwise.encoders.protocol import TextEncoder as TextEncoder
