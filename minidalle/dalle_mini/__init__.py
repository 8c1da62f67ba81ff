"""DALL·E Mini (Dayma et al. 2021): the small open imitation, by which the public met DALL·E.

The same three steps with other parts: a VQGAN instead of the dVAE, an encoder–decoder instead of
the single stream, and guidance on the logits ("super-conditioning"). Reading order: config, vqgan,
discriminator, seq2seq, sampling, recipes, pipeline.
"""
