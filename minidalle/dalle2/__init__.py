"""The second DALL·E: from a caption to a meaning, from a meaning to a picture.

Ramesh et al. 2022, *Hierarchical Text-Conditional Image Generation with CLIP Latents* (arXiv
2204.06125).
"""
