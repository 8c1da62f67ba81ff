"""The encoder–decoder: who sees what, the cache, and the same numbers as min-dalle's."""

import pytest
import torch
from toys import difference

from minidalle.dalle_mini.config import PRESETS, Seq2SeqConfig
from minidalle.dalle_mini.sampling import Cache
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.sampling import complete, sample
from minidalle.scale.attention import fast_attention
from minidalle.transformer import attention

SMALL = Seq2SeqConfig(
    vocab_size=20, pad=14, pads=6, text_len=6, codebook_size=11, grid=3, width=32, depth=2,
    heads=4, hidden=48,
)  # fmt: skip
TEXT = torch.tensor([[13, 4, 5, 17, 18, 19], [13, 7, 8, 9, 10, 11]])  # start, words, pads


@pytest.fixture
def model() -> Seq2Seq:
    torch.manual_seed(0)
    return Seq2Seq(SMALL).eval()


def codes(count: int = 2) -> torch.Tensor:
    return torch.randint(11, (count, 9), generator=torch.Generator().manual_seed(0))


# ---- who sees what ----------------------------------------------------------------------


@torch.no_grad()
def test_a_code_depends_on_the_caption_and_on_the_codes_before_it(model):
    before = model.logits(TEXT, codes())
    assert before.shape == (2, 9, 11)
    changed = codes()
    changed[:, 4] = (changed[:, 4] + 1) % 11
    after = model.logits(TEXT, changed)
    assert torch.equal(after[:, :5], before[:, :5])
    assert all(not torch.allclose(after[:, p], before[:, p]) for p in range(5, 9))


@torch.no_grad()
def test_the_caption_is_read_in_both_directions_without_its_pads(model):
    before, changed = model.read(TEXT), TEXT.clone()
    changed[0, 2] = 6  # its last word: the first sees it
    after = model.read(changed)
    assert not torch.allclose(after[0, 1], before[0, 1]) and torch.equal(after[1], before[1])
    changed = TEXT.clone()
    changed[0, 3:] = changed[0, 3:].flip(0)  # other pads
    same = model.logits(changed, codes())
    assert torch.equal(same, model.logits(TEXT, codes()))


@torch.no_grad()
def test_cached_equals_parallel(model):
    cache, x = Cache(model, TEXT), model.embed_image(codes())
    parts = [cache.append(part) for part in (x[:, :4], x[:, 4:5], x[:, 5:])]
    found = model.image_head(model.norm(torch.cat(parts, 1)))
    assert torch.allclose(found, model.logits(TEXT, codes()), atol=1e-5)


def test_the_fast_attention_is_the_same(model):
    plain = model.logits(TEXT, codes())
    fast_attention(model)
    assert model.blocks[1].to_caption.attend is not attention
    assert torch.allclose(model.logits(TEXT, codes()), plain, atol=1e-5)


# ---- drawing ----------------------------------------------------------------------------


def test_a_seed_draws_the_same_whatever_the_batch(model):
    four = sample(model, TEXT[:1], 4, seed=3, cache=Cache)
    last = sample(model, TEXT[:1], 1, seed=3, first=3, cache=Cache)
    assert torch.equal(four[3:], last) and len(four.unique(dim=0)) == 4


@torch.no_grad()
def test_super_conditioning_by_hand(model):
    """At temperature 0 the first code is the likeliest of u + s (c - u)."""
    null = torch.tensor([13, 15, 16, 17, 18, 19])
    drawn = complete(model, TEXT, codes(), temperature=0, guidance=3, null_text=null, cache=Cache)
    c, u = (model.logits(text, codes()[:, :0])[:, 0] for text in (TEXT, null.expand(2, -1)))
    assert torch.equal(drawn[:, 0], (u + 3 * (c - u)).argmax(-1))


def test_the_loss_of_a_new_model_is_about_the_entropy_of_the_codes(model):
    loss, parts = model(TEXT, codes())
    wanted = -model.logits(TEXT, codes()).log_softmax(-1).gather(2, codes()[..., None]).mean()
    assert torch.allclose(loss, wanted) and parts["image"] == loss.detach()


# ---- against min-dalle ------------------------------------------------------------------


def theirs(sizes: Seq2SeqConfig, monkeypatch, device: str = "cpu"):
    """min-dalle's encoder and decoder."""
    encoder = pytest.importorskip("min_dalle.models.dalle_bart_encoder")
    decoder = pytest.importorskip("min_dalle.models.dalle_bart_decoder")
    torch.set_grad_enabled(True)  # importing it switched gradients off
    monkeypatch.setattr(decoder, "IMAGE_TOKEN_COUNT", sizes.image_len)
    D, L, H, G = sizes.width, sizes.depth, sizes.heads, sizes.hidden
    with torch.device(device):
        return (
            encoder.DalleBartEncoder(L, D, H, sizes.vocab_size, sizes.text_len, G, device),
            decoder.DalleBartDecoder(sizes.codebook_size, D, H, G, L, device),
        )


def has_no_use(name: str) -> bool:
    """Whether it is the gain of a norm before a dense layer."""
    return name.endswith((
        "pre_self_attn_layer_norm.weight", "pre_encoder_attn_layer_norm.weight", "ln0.weight",
        "ln1.weight",
    ))  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """min-dalle's two halves with random weights, at a size for tests, and their files."""
    sizes = Seq2SeqConfig(
        vocab_size=300, text_len=16, codebook_size=64, grid=4, width=128, depth=3, heads=2,
        hidden=200,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("min_dalle")
    with pytest.MonkeyPatch.context() as monkeypatch:
        torch.manual_seed(0)
        parts = theirs(sizes, monkeypatch)
    for name, part in zip(("encoder", "decoder"), parts):
        for parameter_name, parameter in part.named_parameters():
            if parameter.ndim == 1 and not has_no_use(parameter_name):
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
        torch.save(part.state_dict(), folder / f"{name}.pt")
    return sizes, *parts, folder / "encoder.pt", folder / "decoder.pt"


@torch.no_grad()
def test_min_dalle(published, evidence):
    from minidalle.openai.min_dalle import load_mini

    sizes, encoder, decoder, *files = published
    ours, chance = load_mini(*files, codebook_size=64), torch.Generator().manual_seed(0)
    assert ours.config == sizes
    text = torch.randint(2, 300, (2, 16), generator=chance)
    text[0, 5:], text[1, 12:] = 1, 1  # pads
    image = torch.randint(64, (1, 16), generator=chance).expand(2, -1)  # theirs doubles one
    read = encoder(text)
    worst = difference(ours.read(text), read)
    evidence("DALL·E Mini, the caption read", "min-dalle 0.4.11, DalleBartEncoder", 2, worst)
    told = {
        "attention_mask": text.not_equal(1)[:, None, None, :], "encoder_state": read,
        "attention_state": torch.zeros(3, 4, 16, 128),
    }  # fmt: skip
    inputs = torch.cat([torch.tensor([[64]]), image[:1, :-1]], 1)  # the start token first
    parallel, _ = decoder(**told, prev_tokens=inputs, token_index=torch.arange(16))
    worst = difference(ours.logits(text, image), parallel[..., :64])
    one_by_one = []
    for p in range(16):
        step, told["attention_state"] = decoder(
            **told, prev_tokens=inputs[:, p : p + 1], token_index=torch.tensor([p])
        )
        one_by_one.append(step)
    cache, x = Cache(ours, text), ours.embed_image(image)
    found = [cache.append(x[:, p : p + 1]) for p in range(16)]
    found = ours.image_head(ours.norm(torch.cat(found, 1)))
    worst = max(worst, difference(found, torch.cat(one_by_one, 1)[..., :64]))
    assert worst < 1e-5
    evidence("DALL·E Mini, logits, parallel and cached", "min-dalle 0.4.11", 32, worst)


def test_a_gain_that_ours_has_no_place_for_is_refused(published, tmp_path):
    from minidalle.openai.min_dalle import load_mini

    state = published[1].state_dict()
    state["layers.1.glu.ln0.weight"] = 2 * state["layers.1.glu.ln0.weight"]
    torch.save(state, tmp_path / "encoder.pt")
    with pytest.raises(ValueError, match="not DALL·E Mini's encoder and decoder .*is not all 1"):
        load_mini(tmp_path / "encoder.pt", published[-1], codebook_size=64)


@pytest.mark.parametrize(("name", "million"), [("mini", (202.6, 235.2)), ("mega", (1110, 1477))])
def test_the_published_sizes(name, million, monkeypatch):
    """min-dalle's models have as many, with the gains and the start token's row of the head."""
    sizes = PRESETS[name].mini
    with torch.device("meta"):
        ours = Seq2Seq(sizes)
    numbers = {name: parameter.numel() for name, parameter in ours.named_parameters()}
    reading = sum(count for name, count in numbers.items() if name.startswith("text_"))
    found = reading, sum(numbers.values()) - reading
    assert [round(count / 1e6, len(str(million[0]).partition(".")[2])) for count in found] == [
        *million
    ]
    for part, count, more in zip(theirs(sizes, monkeypatch, "meta"), found, (0, sizes.width)):
        unused = sum(p.numel() for n, p in part.named_parameters() if has_no_use(n)) + more
        assert sum(p.numel() for p in part.parameters()) - unused == count
