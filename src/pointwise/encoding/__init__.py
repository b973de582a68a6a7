"""From pictures and captions to a FeatureTable: in memory, or to a file by a run that can be stopped."""

from pointwise.encoding.features import encode as encode
from pointwise.encoding.to_file import Encoded as Encoded
from pointwise.encoding.to_file import encode_to as encode_to
