"""The decoder-only transformer of the grokking papers.

Power et al., 2022, "Grokking: Generalization Beyond Overfitting on Small
Algorithmic Datasets", https://arxiv.org/abs/2201.02177: two blocks, 128 wide, four heads.

By their options, the transformers of

    Power et al., 2022       norm="post", activation="relu"
    Grokfast, Lee et al.,    norm="overwrite", initializer="torch_attention"
      2024, authors' code
    Nanda et al., 2023       num_blocks=1, norm="none", activation="relu"
    a language model of      norm_kind="rms", positions="rotary", activation="silu"
      today
"""

from grokjax.models._decoder import Decoder


class Model(Decoder):
    """A decoder with learned positions, norms before attention and MLP, and its own readout."""
