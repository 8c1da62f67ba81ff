"""The peers of `minidalle bench --peer`: other packages for the same task, with random weights.

B batch, T text tokens, N image tokens.

`make bench-peers` installs them; nothing else needs them. Each function here returns what is to be
timed, at the sizes of one of our configs. Each peer runs with its fastest options; where it does
less than ours, the docstring says so.
"""

import importlib.util
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import torch
from torch import nn

from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig
from minidalle.words import SPELLED_OR_WORD, lower

LLAMAGEN = Path(sys.prefix) / "peers" / "LlamaGen"
# dalle-pytorch imports these, but needs none of them here.
NOT_NEEDED = ("taming", "taming.models", "taming.models.vqgan", "omegaconf", "pkg_resources")


def found(package: str) -> Distribution:
    """An installed peer; raises ValueError, in one sentence, if it is not installed."""
    try:
        return distribution(package)
    except PackageNotFoundError:
        raise ValueError(f"{package}, a peer, is not installed: run `make bench-peers`") from None


def module(package: str, file: str) -> ModuleType:
    """One module of an installed package, loaded without the rest of the package."""
    path = found(package).locate_file(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


# ---- the transformer --------------------------------------------------------------------


def dalle_pytorch(c: DALLEConfig, patched: bool = False, sparse: bool = False) -> nn.Module:
    """DALLE-pytorch: `model(text, codes, return_loss=True)`, `model.generate_images(text)`.

    Its cache is ignored at the default guidance; `patched` passes it on. Its layers are dense or,
    with `sparse`, of the same kinds as ours. Its dVAE is small and takes hardly any time.
    """
    found("dalle-pytorch")
    for name in NOT_NEEDED:
        sys.modules.setdefault(name, Mock())
    from dalle_pytorch import DALLE, DiscreteVAE

    vae = DiscreteVAE(
        image_size=4 * c.grid,
        num_layers=2,
        num_tokens=c.codebook_size,
        codebook_dim=64,
        hidden_dim=32,
    )
    kinds = ("axial_row", "axial_col", "axial_row", "axial_row") if sparse else ("full",)
    model = DALLE(
        dim=c.width,
        vae=vae,
        num_text_tokens=c.vocab_size,
        text_seq_len=c.text_len,
        depth=c.depth,
        heads=c.heads,
        dim_head=c.width // c.heads,
        attn_types=kinds,
    )
    if patched:
        model.forward_with_cond_scale = lambda *args, cond_scale=1, **how: model(*args, **how)
    return model


def dalle_pytorch_clip(c: CLIPConfig) -> nn.Module:
    """The CLIP of DALLE-pytorch, for `generate_images(text, clip=…)`."""
    found("dalle-pytorch")
    from dalle_pytorch import CLIP

    return CLIP(
        dim_text=c.text_width,
        dim_image=c.vision_width,
        dim_latent=c.embed,
        num_text_tokens=c.vocab_size,
        text_enc_depth=c.text_depth,
        text_seq_len=c.text_len,
        text_heads=c.text_heads,
        visual_enc_depth=c.vision_depth,
        visual_heads=c.vision_heads,
        visual_image_size=c.image_size,
        visual_patch_size=c.patch,
    ).eval()


def llamagen(c: DALLEConfig):
    """LlamaGen's sampler: a function of B that draws the codes of B pictures.

    It keeps keys and values in tensors of fixed size, like gpt-fast. Its captions are given as
    vectors (ours pass through an embedding), and run through the model once per candidate.
    """
    if not (LLAMAGEN / "autoregressive").is_dir():
        raise ValueError(f"LlamaGen, a peer, is not in {LLAMAGEN}: run `make bench-peers`")
    if str(LLAMAGEN) not in sys.path:
        sys.path.append(str(LLAMAGEN))
    from autoregressive.models.generate import generate
    from autoregressive.models.gpt import ModelArgs, Transformer

    model = Transformer(
        ModelArgs(
            dim=c.width,
            n_layer=c.depth,
            n_head=c.heads,
            vocab_size=c.codebook_size,
            block_size=c.image_len,
            cls_token_num=c.text_len,
            caption_dim=c.width,
            model_type="t2i",
        )
    ).eval()
    nn.init.normal_(model.output.weight, std=c.width**-0.5)  # initialised to zeros
    caption = torch.randn(1, c.text_len, c.width)
    return lambda batch: generate(model, caption.expand(batch, -1, -1), c.image_len)


# ---- the dVAE and CLIP ------------------------------------------------------------------


def dall_e(c: DVAEConfig) -> tuple[nn.Module, nn.Module]:
    """OpenAI's encoder and decoder, at the size of ours."""
    found("DALL-E")
    import dall_e

    sizes = dict(n_hid=c.width, vocab_size=c.codebook_size)
    return dall_e.Encoder(**sizes).eval(), dall_e.Decoder(**sizes).eval()


def clip_anytorch(c: CLIPConfig) -> nn.Module:
    """OpenAI's CLIP, packaged for any version of torch."""
    return (
        module("clip-anytorch", "clip/model.py")
        .CLIP(
            c.embed,
            c.image_size,
            c.vision_depth,
            c.vision_width,
            c.patch or None,
            c.text_len,
            c.vocab_size,
            c.text_width,
            c.text_heads,
            c.text_depth,
        )
        .eval()
    )


def open_clip(c: CLIPConfig) -> nn.Module:
    """LAION's CLIP; its package imports torchvision, but does not need it here."""
    package = ModuleType("open_clip")
    package.__path__ = [str(found("open-clip-torch").locate_file("open_clip"))]
    sys.modules.setdefault("open_clip", package)
    sys.modules.setdefault("torchvision.ops.misc", Mock())
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    vision = CLIPVisionCfg(
        c.vision_depth,
        c.vision_width,
        c.vision_width // c.vision_heads,
        patch_size=c.patch,
        image_size=c.image_size,
    )
    words = CLIPTextCfg(
        c.text_len, c.vocab_size, width=c.text_width, heads=c.text_heads, layers=c.text_depth
    )
    return CLIP(c.embed, vision, words, quick_gelu=True).eval()


# ---- words ------------------------------------------------------------------------------


def load_tokenizers(path: Path):
    """One of our vocabularies in the `tokenizers` package (Rust)."""
    found("tokenizers")
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def train_tokenizers(texts: list[str], vocab_size: int):
    """`BPE.train` by `tokenizers`; min_frequency=2, because its default merges pairs seen once."""
    found("tokenizers")
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    rust, level = (
        Tokenizer(models.BPE()),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    )
    rust.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPELLED_OR_WORD.pattern), "isolated"), level]
    )
    how = dict(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=level.alphabet(),
        show_progress=False,
    )
    rust.train_from_iterator([lower(text) for text in texts], trainers.BpeTrainer(**how))
    return rust


def simple_tokenizer():
    """CLIP's own tokenizer, and the path of its vocabulary."""
    words = found("clip-anytorch").locate_file("clip/bpe_simple_vocab_16e6.txt.gz")
    return module("clip-anytorch", "clip/simple_tokenizer.py").SimpleTokenizer(str(words)), words
