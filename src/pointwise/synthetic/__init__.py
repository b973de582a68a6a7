"""Known truth: laws of samples, with their exact entropies, and of pairs, with their exact pointwise information."""

from pointwise.synthetic.circle import Circle as Circle
from pointwise.synthetic.discrete import DiscreteLatent as DiscreteLatent
from pointwise.synthetic.gaussians import CorrelatedGaussians as CorrelatedGaussians
from pointwise.synthetic.laws import Gaussian as Gaussian
from pointwise.synthetic.laws import Uniform as Uniform
from pointwise.synthetic.laws import sample_mixture as sample_mixture
from pointwise.synthetic.scenes import Scenes as Scenes
