"""Solutions of assignment 5, to try its tests on; `minidalle course check a5` does."""

# === right: loops over rows and codes
# --- a5-numbers
def numbers(seed, first, count, n):
    import numpy as np
    out = torch.zeros(count, n, dtype=torch.float64)
    size = 3 if GROUP == "thirds" else 4 if GROUP == "quarters" else 2
    for row, candidate in enumerate(range(first, first + count)):
        u = np.random.default_rng([seed, candidate // size]).random(n)
        if GROUP == "mirrored":
            u = u if candidate % 2 == 0 else (1 - u) % 1
        else:
            u = (u + (candidate % size) / size) % 1
        out[row] = torch.from_numpy(u)
    return out
# --- a5-stays
def stays(p):
    out = []
    for row in p.tolist():
        H = sum(-x * math.log(x) for x in row if x > 0)
        R = -math.log(sum(x * x for x in row))
        far = {
            "Shannon, surprise": lambda x: abs(-math.log(x) - H),
            "Shannon, probability": lambda x: abs(x - math.exp(-H)),
            "collision, surprise": lambda x: abs(-math.log(x) - R),
            "collision, probability": lambda x: abs(x - sum(y * y for y in row)),
        }[DISTANCE]
        left = sorted((far(x), code) for code, x in enumerate(row) if x > 0)
        mask, total = [False] * len(row), 0.0
        for _, code in left:
            mask[code] = True
            total += row[code]
            if total >= MASS:
                break
        out.append(mask)
    return torch.tensor(out)
# --- a5-choose
def choose(logits, u, V=0, temperature=1.0, top_k=None, top_p=None, own=False):
    chosen = []
    for row, x in zip(logits[:, V:].double(), u.tolist()):
        p = torch.softmax(row / temperature, 0).tolist()
        codes = list(range(len(p)))
        share = lambda p: [x / sum(p) for x in p]
        if top_k is not None:
            kth = sorted(row.tolist(), reverse=True)[: top_k][-1]
            p = share([p[c] if row[c] >= kth else 0.0 for c in codes])
        if top_p is not None:
            kept, total = set(), 0.0
            for c in sorted(codes, key=lambda c: (-p[c], c)):
                if total < top_p:
                    kept.add(c)
                    total += p[c]
            p = share([p[c] if c in kept else 0.0 for c in codes])
        if own:
            mask = stays(torch.tensor([p], dtype=torch.float64))[0].tolist()
            p = share([p[c] if mask[c] else 0.0 for c in codes])
        key = {"likeliest first": lambda c: (-p[c], c), "likeliest last": lambda c: (p[c], c),
               "backwards": lambda c: -c, "even first": lambda c: (c % 2, c)}[LINE]
        end = 0.0
        for c in sorted(codes, key=key):
            if p[c] == 0:
                continue
            end += p[c]
            last = c
            if x < end:
                break
        chosen.append(last)
    return torch.tensor(chosen)
# --- a5-scan
def scan(h, w):
    places = []
    if SCAN in ("rows down", "rows up"):
        for turn, r in enumerate(range(h) if SCAN == "rows down" else range(h - 1, -1, -1)):
            columns = range(w) if turn % 2 == 0 else range(w - 1, -1, -1)
            places += [r * w + c for c in columns]
    else:
        for turn, c in enumerate(range(w) if SCAN == "columns right" else range(w - 1, -1, -1)):
            rows = range(h) if turn % 2 == 0 else range(h - 1, -1, -1)
            places += [r * w + c for r in rows]
    return tuple(places)

# === right: built on the library
# --- a5-numbers
def numbers(seed, first, count, n):
    from minidalle.sampling import uniforms
    size = {"mirrored": 2, "opposite": 2, "thirds": 3, "quarters": 4}[GROUP]
    leads = uniforms(seed, first // size, (first + count - 1) // size - first // size + 1, n)
    if GROUP == "mirrored":
        members = torch.stack([leads, 1 - leads], 1)
    else:
        members = leads[:, None] + (torch.arange(size) / size).double()[:, None] if size != 3 else torch.stack([leads, leads + 1 / 3, leads + 2 / 3], 1)
    return members.flatten(0, 1)[first % size :][:count].remainder(1)
# --- a5-cache
from minidalle import sampling

class Cache(sampling.Cache):
    def __init__(self, model, text):
        super().__init__(model, text[None])

    def append(self, x):
        if len(x) != self.keys.shape[1]:
            self.pick([0] * len(x))
        return super().append(x)

    def back(self, n):
        self.length = n

    def pick(self, rows):
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
# --- a5-guided
def guided(told, untold, n, N):
    t = torch.tensor(n / (N - 1))
    g = {
        "straight": torch.lerp(torch.tensor(START), torch.tensor(END), t),
        "square": START + (END - START) * t.square(),
        "geometric": START ** (1 - t) * END**t,
        "cosine": (START + END) / 2 + (START - END) / 2 * torch.cos(math.pi * t),
    }[SCHEDULE]
    d = told - untold - (told.logsumexp(-1, True) - untold.logsumexp(-1, True))
    return told + (g - 1) * d.clip(min=-LIMIT, max=LIMIT)
# --- a5-draw
@torch.no_grad()
def draw(model, text, null_text, allowed, u, temperature=1.0, top_k=None):
    from minidalle import sampling
    B, N = u.shape
    with_caption = sampling.Cache(model, text[None], B)
    without = sampling.Cache(model, null_text[None], B)
    codes = torch.empty(B, 0, dtype=torch.long)
    for n in range(N):
        x = model.embed_image(codes)[:, n:]
        a = model.image_head(model.norm(with_caption.append(x)))[:, 0]
        b = model.image_head(model.norm(without.append(x)))[:, 0]
        scores = guided(a, b, n, N)
        scores[~allowed[n].expand(B, -1)] = float("-inf")
        codes = torch.cat([codes, choose(scores, u[:, n], 0, temperature, top_k)[:, None]], 1)
    return codes
# --- a5-fill
def fill(model, text, codes, box, u, temperature=1.0):
    import copy
    side = model.config.grid
    order = torch.tensor(scan(side, side))
    turned, table = copy.copy(model), model.places()[order]
    turned.places = lambda: table
    inside = torch.zeros(side, side, dtype=torch.bool)
    inside[box[0] : box[0] + box[2], box[1] : box[1] + box[3]] = True
    stream = codes[:, order]
    for n in inside.flatten()[order].nonzero().flatten().tolist():
        logits = turned.logits(text[None].expand(len(codes), -1), stream[:, :n])[1][:, -1]
        stream[:, n] = choose(logits, u[:, order[n]], temperature=temperature)
    return stream[:, order.argsort()]

# === right: comparing every code with every other, and memory set aside
# --- a5-stays
def stays(p):
    entropy = -torch.where(p > 0, p * p.clamp(min=1e-300).log(), 0).sum(-1, keepdim=True)
    squares = (p * p).sum(-1, keepdim=True)
    surprise = -p.clamp(min=1e-300).log()
    far = {
        "Shannon, surprise": surprise - entropy,
        "Shannon, probability": p - torch.exp(-entropy),
        "collision, surprise": surprise + squares.log(),
        "collision, probability": p - squares,
    }[DISTANCE].abs()
    code = torch.arange(p.shape[1])
    one, other = far[:, :, None], far[:, None, :]
    earlier = (other < one) | ((other == one) & (code < code[:, None]))  # (B, K, K)
    return ((earlier * p[:, None]).sum(-1) < MASS) & (p > 0)
# --- a5-choose
def choose(logits, u, V=0, temperature=1.0, top_k=None, top_p=None, own=False):
    code = torch.arange(logits.shape[1] - V)
    p = torch.softmax(logits.double()[:, V:] / temperature, -1)
    share = lambda p: p / p.sum(-1, keepdim=True)
    likelier = (p[:, None] > p[:, :, None]) | ((p[:, None] == p[:, :, None]) & (code < code[:, None]))
    if top_k is not None:
        p = share(p * ((p[:, None] > p[:, :, None]).sum(-1) < top_k))
    if top_p is not None:
        p = share(p * ((likelier * p[:, None]).sum(-1) < top_p))
    if own:
        p = share(p * stays(p))
    lower = code < code[:, None]
    before = {
        "likeliest first": (p[:, None] > p[:, :, None]) | ((p[:, None] == p[:, :, None]) & lower),
        "likeliest last": (p[:, None] < p[:, :, None]) | ((p[:, None] == p[:, :, None]) & lower),
        "backwards": (code > code[:, None])[None],
        "even first": ((code % 2 < code[:, None] % 2) | ((code % 2 == code[:, None] % 2) & lower))[None],
    }[LINE]
    start = (before * p[:, None]).sum(-1)
    start = start.masked_fill((p == 0) | (start > u[:, None]), -1.0)
    return start.argmax(-1)
# --- a5-cache
class Cache:
    def __init__(self, model, text):
        c = model.config
        self.model, self.length = model, 0
        self.memory = torch.zeros(c.depth, 2, 1, c.heads, c.text_len + c.image_len, c.width // c.heads)
        self.append(model.embed_text(text.unsqueeze(0)))

    def append(self, x):
        if len(x) > self.memory.shape[2]:
            self.memory = self.memory.repeat(1, 1, len(x), 1, 1, 1)
        start, stop = self.length, self.length + x.shape[1]
        for layer, block in enumerate(self.model.blocks):
            def attend(q, k, v, mask, layer=layer):
                self.memory[layer, 0, :, :, start:stop] = k
                self.memory[layer, 1, :, :, start:stop] = v
                return attention(q, *self.memory[layer], mask)
            x = block(x, self.model.mask(layer)[start:stop], attend)
        self.length = stop
        return x

    def back(self, n):
        self.length = n

    def pick(self, rows):
        self.memory = self.memory.index_select(2, torch.tensor(rows))
# --- a5-guided
def guided(told, untold, n, N):
    p, q = told.softmax(-1), untold.softmax(-1)
    x = n / (N - 1)
    if SCHEDULE == "geometric":
        g = START * (END / START) ** x
    else:
        w = {"straight": x, "square": x**2, "cosine": 0.5 - 0.5 * math.cos(math.pi * x)}[SCHEDULE]
        g = START + (END - START) * w
    return p.log() + (g - 1) * torch.minimum(torch.maximum((p / q).log(), torch.tensor(-LIMIT)), torch.tensor(LIMIT))
# --- a5-fill
def fill(model, text, codes, box, u, temperature=1.0):
    side, order, codes = model.config.grid, scan(model.config.grid, model.config.grid), codes.clone()
    rows, columns = range(box[0], box[0] + box[2]), range(box[1], box[1] + box[3])
    for n, place in enumerate(order):
        if place // side not in rows or place % side not in columns:
            continue
        before = order[:n]
        inputs = [model.start_of_image.expand(len(codes), 1, -1), model.code_embedding(codes[:, before])]
        x = torch.cat(inputs, 1) + model.places()[order[: n + 1]]
        x = torch.cat([model.embed_text(text.expand(len(codes), -1)), x], 1)
        for layer, block in enumerate(model.blocks):
            x = block(x, torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril())
        codes[:, place] = choose(model.image_head(model.norm(x))[:, -1], u[:, place], temperature=temperature)
    return codes

# === wrong: one generator for all candidates of a call | loses a5-numbers-test
# --- a5-numbers
def numbers(seed, first, count, n):
    size = {"mirrored": 2, "opposite": 2, "thirds": 3, "quarters": 4}[GROUP]
    stream = torch.Generator().manual_seed(seed)
    leads = torch.rand(n, (first + count + size - 1) // size, generator=stream, dtype=torch.float64).T
    rows = []
    for candidate in range(first, first + count):
        u, member = leads[candidate // size], candidate % size
        rows.append((1 - u if GROUP == "mirrored" and member else u + member / size) % 1)
    return torch.stack(rows)

# === wrong: seed plus number, so that seeds share candidates | loses a5-numbers-test
# --- a5-numbers
def numbers(seed, first, count, n):
    size = {"mirrored": 2, "opposite": 2, "thirds": 3, "quarters": 4}[GROUP]
    rows = []
    for candidate in range(first, first + count):
        stream = torch.Generator().manual_seed(seed + candidate // size)
        u, member = torch.rand(n, generator=stream, dtype=torch.float64), candidate % size
        rows.append((1 - u if GROUP == "mirrored" and member else u + member / size) % 1)
    return torch.stack(rows)

# === wrong: groups are counted from the first candidate of the call | loses a5-numbers-test
# --- a5-numbers
def numbers(seed, first, count, n):
    size = {"mirrored": 2, "opposite": 2, "thirds": 3, "quarters": 4}[GROUP]
    rows = []
    for i in range(count):
        stream = torch.Generator().manual_seed(seed * 1_000_003 + first + i - i % size)
        u, member = torch.rand(n, generator=stream, dtype=torch.float64), i % size
        rows.append((1 - u if GROUP == "mirrored" and member else u + member / size) % 1)
    return torch.stack(rows)

# === wrong: the code that reaches the mass is left out | loses a5-stays-test
# --- a5-stays
def stays(p):
    middle = -torch.xlogy(p, p).sum(-1, True) if "Shannon" in DISTANCE else -(p**2).sum(-1, True).log()
    far = (-p.log() - middle if "surprise" in DISTANCE else p - (-middle).exp()).abs()
    order = far.argsort(dim=-1, stable=True)
    kept = p.gather(-1, order).cumsum(-1) <= MASS
    kept[:, 0] = True
    return torch.zeros_like(kept).scatter(-1, order, kept) & (p > 0)

# === wrong: the likeliest first, as in top-p | loses a5-stays-test
# --- a5-stays
def stays(p):
    order = p.argsort(dim=-1, descending=True, stable=True)
    ranked = p.gather(-1, order)
    kept = ranked.cumsum(-1) - ranked < MASS
    return torch.zeros_like(kept).scatter(-1, order, kept) & (p > 0)

# === wrong: a plain mean over codes instead of the expected value | loses a5-stays-test
# --- a5-stays
def stays(p):
    some = (p > 0).sum(-1, True)
    surprise = -torch.where(p > 0, p, 1).log()
    middle = surprise.sum(-1, True) / some if "Shannon" in DISTANCE else -(p.sum(-1, True) / some).log()
    far = (-p.log() - middle if "surprise" in DISTANCE else p - (-middle).exp()).abs()
    order = far.argsort(dim=-1, stable=True)
    ranked = p.gather(-1, order)
    kept = ranked.cumsum(-1) - ranked < MASS
    return torch.zeros_like(kept).scatter(-1, order, kept) & (p > 0)

# === wrong: the mask stays in sorted order | loses a5-stays-test
# --- a5-stays
def stays(p):
    middle = -torch.xlogy(p, p).sum(-1, True) if "Shannon" in DISTANCE else -(p**2).sum(-1, True).log()
    far = (-p.log() - middle if "surprise" in DISTANCE else p - (-middle).exp()).abs()
    ranked = p.gather(-1, far.argsort(dim=-1, stable=True))
    return (ranked.cumsum(-1) - ranked < MASS) & (p > 0)

# === wrong: temperature after the filters | loses a5-choose-test
# --- a5-choose
def choose(logits, u, V=0, temperature=1.0, top_k=None, top_p=None, own=False):
    logits = logits[:, V:].double()
    p = logits.softmax(-1)
    share = lambda p: p / p.sum(-1, keepdim=True)
    if top_k is not None:
        p = share(p.where(logits >= logits.topk(min(top_k, p.shape[1])).values[:, -1:], 0))
    if top_p is not None:
        ranked, code = p.sort(dim=-1, descending=True, stable=True)
        p = share(torch.zeros_like(p).scatter(-1, code, ranked.where(ranked.cumsum(-1) - ranked < top_p, 0)))
    if own:
        p = share(p.where(stays(p), 0))
    p = (p.log() / temperature).softmax(-1)
    codes = torch.arange(p.shape[1]).expand_as(p)
    line = {
        "likeliest first": p.argsort(dim=-1, descending=True, stable=True),
        "likeliest last": p.argsort(dim=-1, stable=True),
        "backwards": codes.flip(-1),
        "even first": torch.cat([codes[:, ::2], codes[:, 1::2]], -1),
    }[LINE]
    ends = p.gather(-1, line).cumsum(-1)
    return line.gather(-1, torch.searchsorted(ends, u[:, None] * ends[:, -1:], right=True))[:, 0]

# === wrong: what stays is not divided by its sum | loses a5-choose-test
# --- a5-choose
#-         least = logits.topk(min(top_k, logits.shape[1])).values[:, -1:]
#-         p = p.where(logits >= least, 0)
#-         p = p / p.sum(-1, keepdim=True)
#+         p = p.where(logits >= logits.topk(min(top_k, p.shape[1])).values[:, -1:], 0)
#
#-         ranked = ranked.where(ranked.cumsum(-1) - ranked < top_p, 0)
#-         p = torch.zeros_like(p).scatter(-1, code, ranked)
#-         p = p / p.sum(-1, keepdim=True)
#+         p = torch.zeros_like(p).scatter(-1, code, ranked.where(ranked.cumsum(-1) - ranked < top_p, 0))
#
#-         p = p.where(stays(p), 0)
#-         p = p / p.sum(-1, keepdim=True)
#+         p = p.where(stays(p), 0)
#
#-     at = torch.searchsorted(ends, u[:, None] * ends[:, -1:], right=True)
#+     at = (ends <= u[:, None]).sum(-1, keepdim=True).clamp(max=p.shape[1] - 1)

# === wrong: divided by the sum only once, at the end | loses a5-choose-test
# --- a5-choose
def choose(logits, u, V=0, temperature=1.0, top_k=None, top_p=None, own=False):
    logits = logits[:, V:].double()
    p = (logits / temperature).softmax(-1)
    if top_k is not None:
        p = p.where(logits >= logits.topk(min(top_k, p.shape[1])).values[:, -1:], 0)
    if top_p is not None:
        ranked, code = p.sort(dim=-1, descending=True, stable=True)
        p = torch.zeros_like(p).scatter(-1, code, ranked.where(ranked.cumsum(-1) - ranked < top_p, 0))
    if own:
        p = p.where(stays(p), 0)
    codes = torch.arange(p.shape[1]).expand_as(p)
    line = {
        "likeliest first": p.argsort(dim=-1, descending=True, stable=True),
        "likeliest last": p.argsort(dim=-1, stable=True),
        "backwards": codes.flip(-1),
        "even first": torch.cat([codes[:, ::2], codes[:, 1::2]], -1),
    }[LINE]
    ends = p.gather(-1, line).cumsum(-1)
    return line.gather(-1, torch.searchsorted(ends, u[:, None] * ends[:, -1:], right=True))[:, 0]

# === wrong: top-k counts text tokens too | loses a5-choose-test
# --- a5-choose
def choose(logits, u, V=0, temperature=1.0, top_k=None, top_p=None, own=False):
    logits = logits.double()
    share = lambda p: p / p.sum(-1, keepdim=True)
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[1])).values[:, -1:]
        logits = logits.where(logits >= least, -1e9)
    p = (logits[:, V:] / temperature).softmax(-1)
    if top_p is not None:
        ranked, code = p.sort(dim=-1, descending=True, stable=True)
        p = share(torch.zeros_like(p).scatter(-1, code, ranked.where(ranked.cumsum(-1) - ranked < top_p, 0)))
    if own:
        p = share(p.where(stays(p), 0))
    codes = torch.arange(p.shape[1]).expand_as(p)
    line = {
        "likeliest first": p.argsort(dim=-1, descending=True, stable=True),
        "likeliest last": p.argsort(dim=-1, stable=True),
        "backwards": codes.flip(-1),
        "even first": torch.cat([codes[:, ::2], codes[:, 1::2]], -1),
    }[LINE]
    ends = p.gather(-1, line).cumsum(-1)
    return line.gather(-1, torch.searchsorted(ends, u[:, None] * ends[:, -1:], right=True))[:, 0]

# === wrong: a tie at the k-th is cut | loses a5-choose-test
# --- a5-choose
def choose(logits, u, V=0, temperature=1.0, top_k=None, top_p=None, own=False):
    p = (logits[:, V:].double() / temperature).softmax(-1)
    share = lambda p: p / p.sum(-1, keepdim=True)
    ranked, code = p.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ranked[:, top_k:] = 0
        ranked = share(ranked)
    if top_p is not None:
        ranked = share(ranked.where(ranked.cumsum(-1) - ranked < top_p, 0))
    p = torch.zeros_like(p).scatter(-1, code, ranked)
    if own:
        p = share(p.where(stays(p), 0))
    codes = torch.arange(p.shape[1]).expand_as(p)
    line = {
        "likeliest first": p.argsort(dim=-1, descending=True, stable=True),
        "likeliest last": p.argsort(dim=-1, stable=True),
        "backwards": codes.flip(-1),
        "even first": torch.cat([codes[:, ::2], codes[:, 1::2]], -1),
    }[LINE]
    ends = p.gather(-1, line).cumsum(-1)
    return line.gather(-1, torch.searchsorted(ends, u[:, None] * ends[:, -1:], right=True))[:, 0]

# === wrong: codes on the line in their own order, as in the library | loses a5-choose-test
# --- a5-choose
def choose(logits, u, V=0, temperature=1.0, top_k=None, top_p=None, own=False):
    logits = logits[:, V:].double()
    p = (logits / temperature).softmax(-1)
    share = lambda p: p / p.sum(-1, keepdim=True)
    if top_k is not None:
        p = share(p.where(logits >= logits.topk(min(top_k, p.shape[1])).values[:, -1:], 0))
    if top_p is not None:
        ranked, code = p.sort(dim=-1, descending=True, stable=True)
        p = share(torch.zeros_like(p).scatter(-1, code, ranked.where(ranked.cumsum(-1) - ranked < top_p, 0)))
    if own:
        p = share(p.where(stays(p), 0))
    ends = p.cumsum(-1)
    return torch.searchsorted(ends, u[:, None] * ends[:, -1:], right=True)[:, 0]

# === wrong: the whole stream goes through the model at each append | loses a5-cache-test
# --- a5-cache
class Cache:
    def __init__(self, model, text):
        self.model, self.x = model, model.embed_text(text[None])

    def append(self, x):
        self.x = torch.cat([self.x.expand(len(x), -1, -1), x], 1)
        y, S = self.x, self.x.shape[1]
        for layer, block in enumerate(self.model.blocks):
            y = block(y, self.model.mask(layer)[:S, :S])
        return y[:, -x.shape[1] :]

    def back(self, n):
        self.x = self.x[:, :n]

    def pick(self, rows):
        self.x = self.x[rows]

# === wrong: all caches share their memory | loses a5-cache-test
# --- a5-cache
#-     """The keys and values of one caption's candidates."""
#+     kept = {}
#+ 
#
#-         self.model, self.length, self.kept = model, 0, {}
#+         self.model, self.length = model, 0
#+         self.kept.clear()
#
#-         self.kept = {layer: (k[:, :, :n], v[:, :, :n]) for layer, (k, v) in self.kept.items()}
#+         for layer, (k, v) in self.kept.items():
#+             self.kept[layer] = k[:, :, :n], v[:, :, :n]
#
#-         self.kept = {layer: (k[rows], v[rows]) for layer, (k, v) in self.kept.items()}
#+         for layer, (k, v) in self.kept.items():
#+             self.kept[layer] = k[rows], v[rows]

# === wrong: pick moves keys and leaves values | loses a5-cache-test
# --- a5-cache
from minidalle import sampling

class Cache(sampling.Cache):
    def __init__(self, model, text):
        super().__init__(model, text[None])

    def append(self, x):
        if len(self.keys[0]) == 1 and len(x) > 1:
            self.keys, self.values = (kept.repeat(1, len(x), 1, 1, 1) for kept in (self.keys, self.values))
        return super().append(x)

    def back(self, n):
        self.length = n

    def pick(self, rows):
        self.keys = self.keys[:, rows]
        self.values = self.values[:, [row % len(rows) for row in range(len(rows))]] if len(rows) <= len(self.values[0]) else torch.cat([self.values] * len(rows), 1)[:, : len(rows)]

# === wrong: new positions get the first rows of the mask | loses a5-cache-test
# --- a5-cache
#-         new = slice(self.length, self.length + x.shape[1])
#+         stop = self.length + x.shape[1]
#
#-             x = block(x, self.model.mask(layer)[new, : new.stop], partial(self.attend, layer))
#-         self.length = new.stop
#+             x = block(x, self.model.mask(layer)[: x.shape[1], :stop], partial(self.attend, layer))
#+         self.length = stop

# === wrong: guidance on probabilities | loses a5-guided-test
# --- a5-guided
def guided(told, untold, n, N):
    p, q, x = told.softmax(-1), untold.softmax(-1), n / (N - 1)
    w = {"straight": x, "square": x**2, "geometric": 0, "cosine": 0.5 - 0.5 * math.cos(math.pi * x)}[SCHEDULE]
    g = START * (END / START) ** x if SCHEDULE == "geometric" else START + (END - START) * w
    return (p + (g - 1) * (p - q).clamp(-LIMIT, LIMIT)).clamp(min=1e-9).log()

# === wrong: with and without the caption are exchanged | loses a5-guided-test
# --- a5-guided
def guided(told, untold, n, N):
    p, q, x = untold.log_softmax(-1), told.log_softmax(-1), n / (N - 1)
    w = {"straight": x, "square": x**2, "geometric": 0, "cosine": 0.5 - 0.5 * math.cos(math.pi * x)}[SCHEDULE]
    g = START * (END / START) ** x if SCHEDULE == "geometric" else START + (END - START) * w
    return p + (g - 1) * (p - q).clamp(-LIMIT, LIMIT)

# === wrong: the limit on differences of raw logits | loses a5-guided-test
# --- a5-guided
def guided(told, untold, n, N):
    x = n / (N - 1)
    w = {"straight": x, "square": x**2, "geometric": 0, "cosine": 0.5 - 0.5 * math.cos(math.pi * x)}[SCHEDULE]
    g = START * (END / START) ** x if SCHEDULE == "geometric" else START + (END - START) * w
    return told + (g - 1) * (told - untold).clamp(-LIMIT, LIMIT)

# === wrong: g times the difference on top of the caption's own | loses a5-guided-test
# --- a5-guided
def guided(told, untold, n, N):
    p, q, x = told.log_softmax(-1), untold.log_softmax(-1), n / (N - 1)
    w = {"straight": x, "square": x**2, "geometric": 0, "cosine": 0.5 - 0.5 * math.cos(math.pi * x)}[SCHEDULE]
    g = START * (END / START) ** x if SCHEDULE == "geometric" else START + (END - START) * w
    return p + g * (p - q).clamp(-LIMIT, LIMIT)

# === wrong: the last strength would come one step after the last | loses a5-guided-test
# --- a5-guided
def guided(told, untold, n, N):
    p, q, x = told.log_softmax(-1), untold.log_softmax(-1), n / N
    w = {"straight": x, "square": x**2, "geometric": 0, "cosine": 0.5 - 0.5 * math.cos(math.pi * x)}[SCHEDULE]
    g = START * (END / START) ** x if SCHEDULE == "geometric" else START + (END - START) * w
    return p + (g - 1) * (p - q).clamp(-LIMIT, LIMIT)

# === wrong: forbidden codes get score 0 | loses a5-draw-test
# --- a5-draw
#-     caches = [Cache(model, frame) for frame in (text, null_text)]
#-     x = model.start_of_image.expand(B, -1)
#+     caches, x = [Cache(model, frame) for frame in (text, null_text)], model.start_of_image.expand(B, -1)
#
#-         scores = guided(told, untold, n, N).masked_fill(~allowed[n], -math.inf)
#+         scores = guided(told, untold, n, N).masked_fill(~allowed[n], 0)

# === wrong: top-k counts forbidden codes | loses a5-draw-test
# --- a5-draw
def draw(model, text, null_text, allowed, u, temperature=1.0, top_k=None):
    B, N = u.shape
    codes, places = torch.zeros(B, N, dtype=torch.long), model.places()
    caches, x = [Cache(model, frame) for frame in (text, null_text)], model.start_of_image.expand(B, -1)
    for n in range(N):
        x = (x + places[n])[:, None]
        told, untold = (model.image_head(model.norm(cache.append(x)[:, -1])) for cache in caches)
        scores = guided(told, untold, n, N).double()
        if top_k is not None:
            scores = scores.where(scores >= scores.topk(top_k).values[:, -1:], -1e4)
        scores = scores.masked_fill(~allowed[n], -math.inf)
        codes[:, n] = choose(scores, u[:, n], temperature=temperature)
        x = model.code_embedding(codes[:, n])
    return codes

# === wrong: forbidden before guidance | loses a5-draw-test
# --- a5-draw
def draw(model, text, null_text, allowed, u, temperature=1.0, top_k=None):
    B, N = u.shape
    codes, places = torch.zeros(B, N, dtype=torch.long), model.places()
    caches, x = [Cache(model, frame) for frame in (text, null_text)], model.start_of_image.expand(B, -1)
    for n in range(N):
        x = (x + places[n])[:, None]
        both = [model.image_head(model.norm(cache.append(x)[:, -1])) for cache in caches]
        told, untold = (logits.masked_fill(~allowed[n], -1e9) for logits in both)
        codes[:, n] = choose(guided(told, untold, n, N), u[:, n], temperature=temperature, top_k=top_k)
        x = model.code_embedding(codes[:, n])
    return codes

# === wrong: one cache for both branches | loses a5-draw-test
# --- a5-draw
#-     caches = [Cache(model, frame) for frame in (text, null_text)]
#-     x = model.start_of_image.expand(B, -1)
#+     cache, x = Cache(model, text), model.start_of_image.expand(B, -1)
#
#-         x = (x + places[n])[:, None]
#-         told, untold = (model.image_head(model.norm(cache.append(x)[:, -1])) for cache in caches)
#+         x, length = (x + places[n])[:, None], len(text) + n
#+         told = model.image_head(model.norm(cache.append(x)[:, -1]))
#+         cache.back(length)
#+         untold = model.image_head(model.norm(cache.append(x)[:, -1]))

# === wrong: the branches are exchanged | loses a5-draw-test
# --- a5-draw
#-     caches = [Cache(model, frame) for frame in (text, null_text)]
#-     x = model.start_of_image.expand(B, -1)
#+     caches, x = [Cache(model, frame) for frame in (text, null_text)], model.start_of_image.expand(B, -1)
#
#-         told, untold = (model.image_head(model.norm(cache.append(x)[:, -1])) for cache in caches)
#+         untold, told = (model.image_head(model.norm(cache.append(x)[:, -1])) for cache in caches)

# === wrong: the caches are not reset between pictures | loses a5-draw-test
# --- a5-draw
#- def draw(model, text, null_text, allowed, u, temperature=1.0, top_k=None):
#+ CACHES = {}
#+ 
#+ def draw(model, text, null_text, allowed, u, temperature=1.0, top_k=None):
#
#-     caches = [Cache(model, frame) for frame in (text, null_text)]
#+     if model not in CACHES:
#+         CACHES[model] = [Cache(model, frame) for frame in (text, null_text)]
#
#-         told, untold = (model.image_head(model.norm(cache.append(x)[:, -1])) for cache in caches)
#+         told, untold = (model.image_head(model.norm(cache.append(x)[:, -1])) for cache in CACHES[model])

# === wrong: the same random numbers for all candidates | loses a5-draw-test
# --- a5-draw
#-     caches = [Cache(model, frame) for frame in (text, null_text)]
#-     x = model.start_of_image.expand(B, -1)
#+     caches, x = [Cache(model, frame) for frame in (text, null_text)], model.start_of_image.expand(B, -1)
#
#-         codes[:, n] = choose(scores, u[:, n], temperature=temperature, top_k=top_k)
#+         codes[:, n] = choose(scores, u[:1, n].expand(B), temperature=temperature, top_k=top_k)

# === wrong: no cache | loses a5-draw-test
# --- a5-draw
def draw(model, text, null_text, allowed, u, temperature=1.0, top_k=None):
    B, N = u.shape
    codes = torch.zeros(B, 0, dtype=torch.long)
    for n in range(N):
        told, untold = (model.logits(frame.expand(B, -1), codes)[1][:, -1] for frame in (text, null_text))
        scores = guided(told, untold, n, N).masked_fill(~allowed[n], -math.inf)
        codes = torch.cat([codes, choose(scores, u[:, n], temperature=temperature, top_k=top_k)[:, None]], 1)
    return codes

# === wrong: rows and columns exchanged | loses a5-scan-test
# --- a5-scan
#-     lines = grid if SCAN.startswith("rows") else grid.T
#+     lines = grid.T if SCAN.startswith("rows") else grid

# === wrong: the direction depends on the number of the row, not on the turn | loses a5-scan-test
# --- a5-scan
def scan(h, w):
    grid = torch.arange(h * w).view(h, w)
    lines = list(enumerate((grid if SCAN.startswith("rows") else grid.T).tolist()))
    if SCAN in ("rows up", "columns left"):
        lines = lines[::-1]
    else:
        lines = [(i + 1, line) for i, line in lines]
    return [place for i, line in lines for place in (line[::-1] if i % 2 else line)]

# === wrong: rows and columns of the rectangle exchanged | loses a5-fill-test
# --- a5-fill
#-     top, left, height, width = box
#+     left, top, width, height = box
#
#-             logits = model.image_head(model.norm(seen))
#-             codes[:, place] = choose(logits, u[:, place], temperature=temperature)
#+             codes[:, place] = choose(model.image_head(model.norm(seen)), u[:, place], temperature=temperature)

# === wrong: everything after the first redrawn place is drawn anew | loses a5-fill-test
# --- a5-fill
#-     cache, x = Cache(model, text), model.start_of_image.expand(len(codes), -1)
#+     cache, x, begun = Cache(model, text), model.start_of_image.expand(len(codes), -1), False
#
#-         if top <= row < top + height and left <= column < left + width:
#-             logits = model.image_head(model.norm(seen))
#-             codes[:, place] = choose(logits, u[:, place], temperature=temperature)
#+         begun = begun or (top <= row < top + height and left <= column < left + width)
#+         if begun:
#+             codes[:, place] = choose(model.image_head(model.norm(seen)), u[:, place], temperature=temperature)

# === wrong: a place sees its own given code | loses a5-fill-test
# --- a5-fill
def fill(model, text, codes, box, u, temperature=1.0):
    codes, side, places = codes.clone(), model.config.grid, model.places()
    top, left, height, width = box
    cache = Cache(model, text)
    for place in scan(side, side):
        x = model.code_embedding(codes[:, place])
        seen = cache.append((x + places[place])[:, None])[:, -1]
        row, column = divmod(place, side)
        if top <= row < top + height and left <= column < left + width:
            codes[:, place] = choose(model.image_head(model.norm(seen)), u[:, place], temperature=temperature)
    return codes

# === wrong: the code before in reading order, not in the order of the scan | loses a5-fill-test
# --- a5-fill
def fill(model, text, codes, box, u, temperature=1.0):
    codes, side, places = codes.clone(), model.config.grid, model.places()
    top, left, height, width = box
    cache = Cache(model, text)
    for place in scan(side, side):
        x = model.code_embedding(codes[:, place - 1]) if place else model.start_of_image.expand(len(codes), -1)
        seen = cache.append((x + places[place])[:, None])[:, -1]
        row, column = divmod(place, side)
        if top <= row < top + height and left <= column < left + width:
            codes[:, place] = choose(model.image_head(model.norm(seen)), u[:, place], temperature=temperature)
    return codes

# === wrong: positions by step, not by place | loses a5-fill-test
# --- a5-fill
#-     for place in scan(side, side):
#-         seen = cache.append((x + places[place])[:, None])[:, -1]
#+     for n, place in enumerate(scan(side, side)):
#+         seen = cache.append((x + places[n])[:, None])[:, -1]
#
#-             logits = model.image_head(model.norm(seen))
#-             codes[:, place] = choose(logits, u[:, place], temperature=temperature)
#+             codes[:, place] = choose(model.image_head(model.norm(seen)), u[:, place], temperature=temperature)

# === wrong: random numbers by step, not by place | loses a5-fill-test
# --- a5-fill
#-     for place in scan(side, side):
#+     for n, place in enumerate(scan(side, side)):
#
#-             logits = model.image_head(model.norm(seen))
#-             codes[:, place] = choose(logits, u[:, place], temperature=temperature)
#+             codes[:, place] = choose(model.image_head(model.norm(seen)), u[:, n], temperature=temperature)
