"""From pictures and captions to a FeatureTable: in memory, or to a file by a run that can be stopped."""

from pointwise.encoding.loop import encode as encode
from pointwise.encoding.shards import Encoded as Encoded
from pointwise.encoding.shards import encode_to as encode_to
