"""GPT-2: norms before attention and MLP, tanh GELU, a readout tied to the embeddings.

Radford et al., 2019, "Language Models are Unsupervised Multitask Learners",
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf.
Initial weights are normal with deviation .02, those of the layers that end a residual branch
divided by the root of the number of branches; the authors' code draws positions with .01.
"""

from grokjax.models._decoder import Gpt2


class Model(Gpt2):
    """A decoder with GPT-2's defaults; the readout's rows are the embeddings of the classes."""
