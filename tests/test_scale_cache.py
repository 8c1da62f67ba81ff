"""The fast cache against the plain one: the same numbers, with less stored."""

import pytest
import torch
from toys import NULL_TEXT, K, N, T, positions_sent, small_dalle, two_captions

from minidalle.sampling import Cache, complete, sample
from minidalle.scale.cache import FastCache, as_slice, fast_sampling, visible


@pytest.fixture(scope="module")
def model():
    return small_dalle()


@pytest.fixture
def text():
    return two_captions()


@pytest.mark.parametrize("first", [1, 2, 7, 16])
@pytest.mark.parametrize("kind", ["row", "column", "convolutional", "causal", "mixed"])
def test_it_equals_the_plain_cache_at_every_position(kind, first, text):
    """The first few positions at once, the others one by one."""
    model = small_dalle("dense" if kind == "causal" else "sparse")
    if kind != "mixed":
        model.kinds = [kind] * 3
    inputs = model.embed_image(torch.randint(K, (4, N)))
    pieces = inputs.split([first] + [1] * (N - first), dim=1)
    plain, fast = Cache(model, text, 2), FastCache(model, text, 2)
    for p, piece in enumerate(pieces):
        assert torch.allclose(fast.append(piece), plain.append(piece), atol=1e-4), f"piece {p}"


@pytest.mark.parametrize(
    "how", [{}, {"guidance": 3.0}, {"temperature": 0, "guidance": 0.5}, {"top_k": 4}]
)
def test_it_draws_the_same_pictures(model, text, how):
    how = how | {"null_text": NULL_TEXT}
    with fast_sampling(model) as cache:
        fast = sample(model, text, 3, seed=5, cache=cache, **how)
    assert fast.equal(sample(model, text, 3, seed=5, **how))


def test_only_visible_positions_are_stored(model, text):
    """Rows store W + 1 positions, captions are stored once, only the first call has n > 1."""
    cache = FastCache(model, text, 5)
    places = {kind: kept.shape[4] for kind, kept in zip(model.kinds, cache.image)}
    assert places == {"row": 5, "column": 16, "convolutional": 16}
    for (keys, _), kept in zip(cache.text, cache.image):
        assert keys.numel() == 2 * 16 * T and kept[0].numel() == 10 * 16 * kept.shape[4]
    x = torch.zeros(10, 2, 16)
    cache.append(x)
    with pytest.raises(ValueError, match="one by one, not 2 at a time"):
        cache.append(x)


@pytest.mark.parametrize("num_samples", [1, 5])
def test_a_caption_goes_through_once_however_many_pictures(model, text, num_samples):
    once = 2 * T + 2 * num_samples * N
    assert positions_sent(model, lambda: sample(model, text, num_samples, cache=FastCache)) == once
    codes = torch.zeros(2 * num_samples, N, dtype=torch.long)
    assert (
        positions_sent(model, lambda: complete(model, text, codes, (2, 1), cache=FastCache)) == once
    )
    guided = {"guidance": 3.0, "null_text": NULL_TEXT, "cache": FastCache}
    added = T + 2 * num_samples * N  # the empty caption, and each picture once more
    assert positions_sent(model, lambda: sample(model, text, num_samples, **guided)) == once + added


def test_the_model_is_left_as_it_was(model):
    """Its matrices are restored to their memory layout, even if drawing is interrupted."""
    before = {name: (p.data_ptr(), p.clone()) for name, p in model.named_parameters()}
    onednn = torch.backends.mkldnn.enabled
    with pytest.raises(KeyboardInterrupt), fast_sampling(model):
        assert model.image_head.weight.T.is_contiguous() and not torch.backends.mkldnn.enabled
        raise KeyboardInterrupt
    assert torch.backends.mkldnn.enabled == onednn
    for name, p in model.named_parameters():
        assert p.data_ptr() == before[name][0] and p.is_contiguous() and p.equal(before[name][1])


def test_windows_cached_in_inference_can_be_used_with_gradients(text):
    visible.cache_clear()
    model = small_dalle().requires_grad_(True)
    with fast_sampling(model) as cache:
        cache(model, text)
    cache = FastCache(model, text)
    for place in model.places()[:6]:
        found = cache.append(place.expand(2, 1, -1))
    assert found.requires_grad


def test_nothing_is_made_on_another_device_than_the_models(text):
    """ "meta" has shapes and no numbers; mixing it with the CPU is an error, as with a GPU."""
    meta = small_dalle().to("meta")
    for cache in (Cache, FastCache):
        how = {"cache": cache, "guidance": 2.0, "null_text": NULL_TEXT.to("meta")}
        assert sample(meta, text.to("meta"), 3, top_k=5, cache=cache).device.type == "meta"
        assert sample(meta, text.to("meta"), **how).shape == (2, N)


def test_windows_by_hand():
    assert visible("column", 3, 4, 3)[9] == slice(1, 10, 4)
    assert as_slice([4]) == slice(4, 5, 1) and as_slice([1, 2, 4]).tolist() == [1, 2, 4]
