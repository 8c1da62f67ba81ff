"""Solutions of assignment 4, to try its tests on; `minidalle course check a4` does."""

# === right: with what torch brings
# --- a4-norm
class Norm(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(D))

    def forward(self, x):
        D = x.shape[-1]
        if NORM == "rms":
            return F.rms_norm(x, (D,), 1 + self.weight, EPS)
        if NORM == "halves":
            return F.group_norm(x.reshape(-1, D), 2, 1 + self.weight, None, EPS).view(x.shape)
        if NORM == "gain":
            return F.layer_norm(x, (D,), 1 + self.weight, None, EPS)
        return F.layer_norm(x, (D,), None, self.weight, EPS)
# --- a4-attention
def attention(q, k, v, mask):
    B, H, S, d = q.shape
    if SCORE == "sink":  # a key and a value of zeros, in front
        k, v, mask = F.pad(k, (0, 0, 1, 0)), F.pad(v, (0, 0, 1, 0)), F.pad(mask, (1, 0), value=True)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    if SCORE == "distance":
        steps = torch.arange(S)[:, None] - torch.arange(S)
        bias = torch.stack([-steps / 2 ** (h + 1) for h in range(H)]).to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.masked_fill(~mask, -math.inf))
    scores = 3 * torch.tanh(torch.matmul(q, k.mT).div(3 * d**0.5))
    return torch.matmul(torch.where(mask, scores, -math.inf).softmax(dim=-1), v)
# --- a4-loss
def loss(text_logits, image_logits, text, codes):
    image_loss = F.cross_entropy(image_logits.reshape(-1, image_logits.shape[-1]), codes.reshape(-1))
    if COUNT == "words":
        text_loss = F.cross_entropy(text_logits.mT, text, ignore_index=PAD)
    elif COUNT == "captions":
        each = [F.cross_entropy(logits, row, ignore_index=PAD) for logits, row in zip(text_logits, text)]
        text_loss = torch.stack(each).mean()
    else:
        target = text.clone()
        target[(text == PAD) & (text.roll(1, 1) == PAD)] = -100
        target[:, 0] = text[:, 0]
        text_loss = F.cross_entropy(text_logits.mT, target)
    return torch.lerp(image_loss, text_loss, SHARE)
# --- a4-train
def train(model, batch, steps, peak):
    model.train()
    every = list(model.parameters())
    decay = {"params": [p for p in every if p.dim() > 1], "weight_decay": 0.1}
    keep = {"params": [p for p in every if p.dim() <= 1], "weight_decay": 0}
    optimizer = torch.optim.AdamW([decay, keep], lr=1.0, betas=(0.9, 0.95), eps=1e-8, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, steps, peak) if step < steps else 0)
    losses = []
    for step in range(steps):
        text, codes = batch(step)
        model.zero_grad(set_to_none=True)
        value = loss(*model(text, codes), text, codes)
        value.backward()
        if CLIP == "each":
            for p in every:
                nn.utils.clip_grad_norm_([p], 0.1)
        elif CLIP == "rms":  # the norm is the root mean square times the root of their number
            nn.utils.clip_grad_norm_(every, 0.003 * sum(p.numel() for p in every) ** 0.5)
        else:
            nn.utils.clip_grad_norm_(every, 0.02, norm_type=math.inf)
        optimizer.step()
        schedule.step()
        losses.append(float(value.detach()))
    return losses

# === right: with loops
# --- a4-norm
class Norm(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(D))

    def forward(self, x):
        parts = []
        for part in x.chunk(2 if NORM == "halves" else 1, dim=-1):
            if NORM != "rms":
                part = part - part.mean(-1, keepdim=True)
            parts.append(part / torch.sqrt((part * part).mean(-1, keepdim=True) + EPS))
        y = torch.cat(parts, -1)
        return y + self.weight if NORM == "shift" else y + y * self.weight
# --- a4-attention
def attention(q, k, v, mask):
    heads = []
    for h in range(q.shape[1]):
        s = torch.stack([(q[:, h] * k[:, h, j, None]).sum(-1) for j in range(k.shape[2])], -1)
        s = s / math.sqrt(q.shape[-1])  # (B, S, S)
        if SCORE == "cap":
            s = 3 * (s / 3).tanh()
        if SCORE == "distance":
            far = torch.tensor([[i - j for j in range(len(mask))] for i in range(len(mask))])
            s = s - far / 2 ** (h + 1)
        e = s.exp() * mask
        weights = e / (e.sum(-1, keepdim=True) + (1 if SCORE == "sink" else 0))
        heads.append(weights @ v[:, h])
    return torch.stack(heads, 1)
# --- a4-model
class Model(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.sizes, D = sizes, sizes.D
        for name, rows in (("text_embedding", sizes.V), ("code_embedding", sizes.K), ("position", sizes.S)):
            setattr(self, name, nn.Parameter(torch.empty(rows, D).normal_()))
        self.start = nn.Parameter(torch.ones(D))
        if "separator" in STREAMS[STREAM][0]:
            self.separator = nn.Parameter(torch.ones(D))
        self.norm = Norm(D)
        if POSITION == "norm":
            self.norm_0 = Norm(D)
        self.blocks = nn.ModuleList()
        for _ in range(sizes.depth):
            self.blocks.append(Block(D, sizes.H, (2 * sizes.depth) ** -0.5))
        if TIED == "image":
            self.text_head = nn.Linear(D, sizes.V, bias=False)
        else:
            self.image_head = nn.Linear(D, sizes.K, bias=False)

    def forward(self, text, codes):
        words = [("text", self.text_embedding[text[:, t]]) for t in range(self.sizes.T)]
        patches = [("image", self.code_embedding[codes[:, n]]) for n in range(self.sizes.N)]
        first, second = (patches, words) if "picture" in STREAM else (words, patches)
        seam = [("nothing", self.separator.expand(len(text), -1))] if hasattr(self, "separator") else []
        stream = [*first, *seam, *second]  # each vector, and what kind it is
        kinds = [kind for kind, _ in stream]
        x = torch.stack([self.start.expand(len(text), -1)] + [vector for _, vector in stream[:-1]], 1)
        mask = torch.tensor([[key <= query for key in range(len(kinds))] for query in range(len(kinds))])
        if POSITION == "root":
            x = x * self.sizes.D**0.5
        if POSITION in ("root", "norm"):
            x = x + self.position
        if POSITION == "norm":
            x = self.norm_0(x)
        for block in self.blocks:
            x = block(x + self.position * (POSITION == "every block"), mask)
        x = self.norm(x)
        text_head = self.text_embedding if TIED == "text" else self.text_head.weight
        image_head = self.code_embedding if TIED == "image" else self.image_head.weight
        logits = {"text": [], "image": [], "nothing": []}
        for at, kind in enumerate(kinds):
            if kind != "nothing":
                logits[kind].append(x[:, at] @ (text_head if kind == "text" else image_head).T)
        return torch.stack(logits["text"], 1), torch.stack(logits["image"], 1)
# --- a4-loss
def loss(text_logits, image_logits, text, codes):
    of_text, of_codes = -text_logits.log_softmax(-1), -image_logits.log_softmax(-1)
    captions = []
    for b in range(len(text)):
        captions.append([])
        for t in range(text.shape[1]):
            first_pad = text[b, t] == PAD and text[b, t - 1] != PAD
            if text[b, t] != PAD or (COUNT == "end" and first_pad):
                captions[-1].append(of_text[b, t, text[b, t]])
    if COUNT == "captions":
        text_loss = sum(sum(each) / len(each) for each in captions) / len(captions)
    else:
        text_loss = sum(map(sum, captions)) / sum(map(len, captions))
    image_loss = of_codes.gather(2, codes.unsqueeze(2)).mean()
    return SHARE * text_loss + (1 - SHARE) * image_loss
# --- a4-schedule
def learning_rate(step, steps, peak):
    W = steps // 10
    rates = [peak * n / W for n in range(1, W + 1)]
    for n in range(W, steps):
        left = steps - n
        rates.append({"root": peak * (W / (n + 1)) ** 0.5, "linear": peak * left / (steps - W), "plateau": peak if left > 2 * W else peak * left / (2 * W)}[SCHEDULE])
    return rates[step]

# === right: by other formulas, with two optimisers
# --- a4-norm
class Norm(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.register_parameter("weight", nn.Parameter(0 * torch.empty(D).fill_(1)))

    def forward(self, x):
        shape = x.shape
        x = x.reshape(*shape[:-1], 2 if NORM == "halves" else 1, -1)
        if NORM == "rms":
            y = x * torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True) ** 2 / x.shape[-1] + EPS)
        else:
            variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
            y = (x - mean) * torch.rsqrt(variance + EPS)
        y = y.reshape(shape)
        return torch.add(y, self.weight) if NORM == "shift" else torch.addcmul(y, y, self.weight)
# --- a4-attention
def attention(q, k, v, mask):
    scores = torch.einsum("bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, k)
    if SCORE == "cap":
        scores = 3 - 6 / (1 + (2 * scores / 3).exp())  # tanh by exp
    if SCORE == "distance":
        far = (torch.arange(len(mask))[:, None] - torch.arange(len(mask))).float()
        scores = scores - torch.stack([far * 0.5 ** (h + 1) for h in range(q.shape[1])])
    e = torch.where(mask, scores, -1e9).exp()
    return e @ v / (e.sum(-1, keepdim=True) + float(SCORE == "sink"))
# --- a4-block
class Block(nn.Module):
    def __init__(self, D, H, scale):
        super().__init__()
        self.D, self.H, self.d, self.scale = D, H, D // H, scale
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.norm_1, self.norm_2 = Norm(D), Norm(D)

    def A(self, x, mask):
        z, heads = self.qkv(x), []
        for h in range(self.H):
            if LAYOUT == "H3d":
                start = 3 * h * self.d
                q, k, v = z[..., start : start + 3 * self.d].split(self.d, -1)
            elif LAYOUT == "3dH":
                q, k, v = z[..., h :: self.H].split(self.d, -1)
            else:
                own = z[..., 3 * h * self.d : 3 * (h + 1) * self.d]
                q, k, v = own[..., 0::3], own[..., 1::3], own[..., 2::3]
            heads.append(torch.stack([q, k, v]))
        q, k, v = torch.stack(heads, 2)  # each (B, H, S, d)
        mixed = attention(q, k, v, mask)
        return sum(F.linear(mixed[:, h], self.out.weight[:, h * self.d : (h + 1) * self.d]) for h in range(self.H)) + self.out.bias

    def M(self, x):
        z = self.up(x)
        if ACTIVATION == "square":
            return self.down(torch.where(z > 0, z, 0).square())
        share = torch.sigmoid(z) if ACTIVATION == "silu" else torch.special.ndtr(z)
        return self.down(z * share)

    def forward(self, x, mask):
        if BLOCK == "reversed":
            middle = torch.add(x, self.M(self.norm_1(x)), alpha=self.scale)
            return torch.add(middle, self.A(self.norm_2(middle), mask), alpha=self.scale)
        if BLOCK == "parallel":
            return x + self.A(self.norm_1(x), mask) * self.scale + self.M(self.norm_2(x)) * self.scale
        middle = x + self.norm_1(self.A(x, mask)) * self.scale
        return middle + self.norm_2(self.M(middle)) * self.scale
# --- a4-model
class Model(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        vector = lambda *shape: nn.Parameter(torch.zeros(*shape, sizes.D))
        self.sizes, self.start, self.position = sizes, vector(), vector(sizes.S)
        self.text_embedding, self.code_embedding = vector(sizes.V), vector(sizes.K)
        if sizes.S > sizes.T + sizes.N:
            self.separator = vector()
        if POSITION == "norm":
            self.norm_0 = Norm(sizes.D)
        self.blocks = nn.ModuleList([Block(sizes.D, sizes.H, math.sqrt(0.5 / sizes.depth)) for _ in range(sizes.depth)])
        self.norm = Norm(sizes.D)
        name, rows = ("image_head", sizes.K) if TIED == "text" else ("text_head", sizes.V)
        setattr(self, name, nn.Linear(sizes.D, rows, bias=False))

    def forward(self, text, codes):
        T, N, V, B = self.sizes.T, self.sizes.N, self.sizes.V, len(text)
        table = torch.cat([self.text_embedding, self.code_embedding, self.start[None]])
        last = len(table) - 1
        if hasattr(self, "separator"):
            table = torch.cat([table, self.separator[None]])
        one = torch.ones(B, 1, dtype=torch.long)
        order = [text, V + codes] if STREAMS[STREAM][1].startswith("t") else [V + codes, text]
        ids = [last * one, order[0]] + [(last + 1) * one] * hasattr(self, "separator") + [order[1][:, :-1]]
        x = F.embedding(torch.cat(ids, 1), table)
        S = x.shape[1]
        mask = torch.ones(S, S, dtype=torch.bool).triu(1).logical_not()
        if POSITION != "every block":
            x = x * (self.sizes.D**0.5 if POSITION == "root" else 1) + self.position[None]
        if POSITION == "norm":
            x = self.norm_0(x)
        for block in self.blocks:
            x = block(x if POSITION != "every block" else x + self.position[None], mask)
        x = self.norm(x)
        if order[0] is text:
            of_text, of_codes = x.narrow(1, 0, T), x.narrow(1, S - N, N)
        else:
            of_codes, of_text = x.narrow(1, 0, N), x.narrow(1, S - T, T)
        if TIED == "text":
            return F.linear(of_text, self.text_embedding), self.image_head(of_codes)
        return self.text_head(of_text), torch.einsum("bnd,kd->bnk", of_codes, self.code_embedding)
# --- a4-train
def train(model, batch, steps, peak):
    parameters, losses = list(model.parameters()), []
    how = {"lr": peak, "betas": (0.9, 0.95), "eps": 1e-8}
    two = [torch.optim.AdamW([p for p in parameters if (p.ndim > 1) == wide], weight_decay=0.1 * wide, foreach=True, **how) for wide in (True, False)]
    for step in range(steps):
        text, codes = batch(step)
        value = loss(*model(text, codes), text, codes)
        gradients = torch.autograd.grad(value, parameters)
        if CLIP == "each":
            gradients = [g * (0.1 / g.norm()).clamp(max=1) if g.any() else g for g in gradients]
        else:
            squares, numbers = sum(g.square().sum() for g in gradients), sum(g.numel() for g in gradients)
            now, most = ((squares / numbers).sqrt(), 0.003) if CLIP == "rms" else (max(g.abs().max() for g in gradients), 0.02)
            gradients = [g / now * most if now > most else g for g in gradients]
        for p, g in zip(parameters, gradients):
            p.grad = g
        for optimizer in two:
            optimizer.param_groups[0]["lr"] = learning_rate(step, steps, peak)
            optimizer.step()
        losses.append(value.item())
    return losses

# === wrong: normalises over the positions, not over the numbers of each | loses a4-norm-test
# --- a4-norm
#-         """x (…, D) → (…, D)."""
#-         grouped = x.unflatten(-1, (2, -1)) if NORM == "halves" else x.unflatten(-1, (1, -1))
#+         axis = -2 if x.ndim > 1 else -1
#
#-             grouped = grouped - grouped.mean(-1, keepdim=True)
#-         normed = (grouped / (grouped.pow(2).mean(-1, keepdim=True) + EPS).sqrt()).flatten(-2)
#+             x = x - x.mean(axis, keepdim=True)
#+         normed = x / (x.pow(2).mean(axis, keepdim=True) + EPS).sqrt()

# === wrong: divides the squares by D - 1 | loses a4-norm-test
# --- a4-norm
#-         normed = (grouped / (grouped.pow(2).mean(-1, keepdim=True) + EPS).sqrt()).flatten(-2)
#+         normed = (grouped / (grouped.pow(2).sum(-1, keepdim=True) / (grouped.shape[-1] - 1) + EPS).sqrt()).flatten(-2)

# === wrong: epsilon outside the root | loses a4-norm-test
# --- a4-norm
#-         normed = (grouped / (grouped.pow(2).mean(-1, keepdim=True) + EPS).sqrt()).flatten(-2)
#+         normed = (grouped / (grouped.pow(2).mean(-1, keepdim=True).sqrt() + EPS)).flatten(-2)

# === wrong: the mask is transposed | loses a4-attention-test
# --- a4-attention
#-     scores = scores.masked_fill(~mask, -math.inf)
#+     scores = scores.masked_fill(~mask.T, -math.inf)

# === wrong: softmax first, then the forbidden weights are 0 | loses a4-attention-test
# --- a4-attention
#-     scores = scores.masked_fill(~mask, -math.inf)
#
#-         return F.pad(scores, (1, 0)).softmax(-1)[..., 1:] @ v
#-     return scores.softmax(-1) @ v
#+         return F.pad(scores, (1, 0)).softmax(-1)[..., 1:] * mask @ v
#+     return scores.softmax(-1) * mask @ v

# === wrong: the forbidden scores are 0 | loses a4-attention-test
# --- a4-attention
#-     scores = scores.masked_fill(~mask, -math.inf)
#+     scores = scores.masked_fill(~mask, 0.0)

# === wrong: divides by d, not by its root | loses a4-attention-test
# --- a4-attention
#-     scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
#+     scores = q @ k.transpose(-1, -2) / q.shape[-1]

# === wrong: the scores are not divided at all | loses a4-attention-test
# --- a4-attention
#-     scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
#+     scores = q @ k.transpose(-1, -2)

# === wrong: softmax over the queries | loses a4-attention-test
# --- a4-attention
#-         return F.pad(scores, (1, 0)).softmax(-1)[..., 1:] @ v
#-     return scores.softmax(-1) @ v
#+         return F.pad(scores, (1, 0)).softmax(-2)[..., 1:] @ v
#+     return scores.softmax(-2) @ v

# === wrong: a residual connection is missing | loses a4-block-test
# --- a4-block
#-             return x + self.scale * (mix(self.norm_1(x)) + mlp(self.norm_2(x)))
#+             return self.scale * (mix(self.norm_1(x)) + mlp(self.norm_2(x)))
#
#-             return x + self.scale * self.norm_2(mlp(x))
#-         x = x + self.scale * mlp(self.norm_1(x))
#+             return self.scale * self.norm_2(mlp(x))
#+         x = self.scale * mlp(self.norm_1(x))

# === wrong: the heads are not put side by side | loses a4-block-test
# --- a4-block
#-             return self.out(attention(q, k, v, mask).transpose(1, 2).flatten(2))
#+             return self.out(attention(q, k, v, mask).reshape(B, S, D))

# === wrong: the layout of the library | loses a4-block-test
# --- a4-block
#-             qkv = self.qkv(x).view(B, S, *(sizes[axis] for axis in LAYOUT))
#-             q, k, v = qkv.permute(2 + LAYOUT.index("3"), 0, 2 + LAYOUT.index("H"), 1, 2 + LAYOUT.index("d"))
#+             qkv = self.qkv(x).view(B, S, *(sizes[axis] for axis in "3Hd"))
#+             q, k, v = qkv.permute(2, 0, 3, 1, 4)

# === wrong: the scale only on the attention | loses a4-block-test
# --- a4-block
#-             return x + self.scale * (mix(self.norm_1(x)) + mlp(self.norm_2(x)))
#+             return x + self.scale * mix(self.norm_1(x)) + mlp(self.norm_2(x))
#
#-             return x + self.scale * self.norm_2(mlp(x))
#-         x = x + self.scale * mlp(self.norm_1(x))
#+             return x + self.norm_2(mlp(x))
#+         x = x + mlp(self.norm_1(x))

# === wrong: position embeddings are forgotten | loses a4-model-test
# --- a4-model
#-             x = math.sqrt(self.sizes.D) * x + self.position
#+             x = math.sqrt(self.sizes.D) * x
#
#-             x = self.norm_0(x + self.position)
#+             x = self.norm_0(x)
#
#-                 x = x + self.position
#+                 x = x

# === wrong: a position predicts the token that it reads | loses a4-model-test
# --- a4-model
#-         x = self.norm(x)
#+         x = self.norm(x).roll(-1, 1)

# === wrong: nobody reads the start | loses a4-model-test
# --- a4-model
#-         start = self.start.expand(len(text), 1, -1)
#+         start = torch.zeros(len(text), 1, self.sizes.D)

# === wrong: no mask: everybody sees the future | loses a4-model-test
# --- a4-model
#-         self.register_buffer("mask", torch.ones(sizes.S, sizes.S).tril().bool(), persistent=False)
#+         self.register_buffer("mask", torch.ones(sizes.S, sizes.S).bool(), persistent=False)
#+ 

# === wrong: everybody sees one position too many | loses a4-model-test
# --- a4-model
#-         self.register_buffer("mask", torch.ones(sizes.S, sizes.S).tril().bool(), persistent=False)
#+         self.register_buffer("mask", torch.ones(sizes.S, sizes.S).tril(1).bool(), persistent=False)

# === wrong: the other kind comes first | loses a4-model-test
# --- a4-model
#-         text_first = STREAM in ("joined", "separated")
#+         text_first = STREAM not in ("joined", "separated")

# === wrong: the blocks are in a plain list | loses a4-model-test
# --- a4-model
#-         self.blocks = nn.ModuleList(Block(D, sizes.H, scale) for _ in range(sizes.depth))
#+         self.blocks = [Block(D, sizes.H, scale) for _ in range(sizes.depth)]

# === wrong: all blocks are the same one | loses a4-model-test
# --- a4-model
#-         self.blocks = nn.ModuleList(Block(D, sizes.H, scale) for _ in range(sizes.depth))
#+         self.blocks = nn.ModuleList([Block(D, sizes.H, scale)] * sizes.depth)

# === wrong: no norm before the heads | loses a4-model-test
# --- a4-model
#-         x = self.norm(x)

# === wrong: the tied head is a copy without gradient | loses a4-model-test
# --- a4-model
#-         text_logits = of_text @ self.text_embedding.T if TIED == "text" else self.text_head(of_text)
#-         image_logits = of_image @ self.code_embedding.T if TIED == "image" else self.image_head(of_image)
#+         text_logits = of_text @ self.text_embedding.detach().T if TIED == "text" else self.text_head(of_text)
#+         image_logits = of_image @ self.code_embedding.detach().T if TIED == "image" else self.image_head(of_image)

# === wrong: one mean over words and codes together | loses a4-loss-test
# --- a4-loss
#-     image_loss = F.cross_entropy(image_logits.flatten(0, 1), codes.flatten())
#+     image_loss = F.cross_entropy(image_logits.flatten(0, 1), codes.flatten())
#+     if COUNT == "captions":
#+         counted = text != PAD
#+     tokens, patches = counted.sum(), codes.numel()
#+     return (text_loss * tokens + image_loss * patches) / (tokens + patches)

# === wrong: pads count like words | loses a4-loss-test
# --- a4-loss
#-     counted = text != PAD
#+     counted = torch.ones_like(text, dtype=torch.bool)

# === wrong: the mean of the captions' means, and the other way round | loses a4-loss-test
# --- a4-loss
#-     if COUNT == "captions":
#+     if COUNT != "captions":

# === wrong: share and rest are exchanged | loses a4-loss-test
# --- a4-loss
#-     return SHARE * text_loss + (1 - SHARE) * image_loss
#+     return (1 - SHARE) * text_loss + SHARE * image_loss

# === wrong: the first step has a rate of 0 | loses a4-schedule-test
# --- a4-schedule
#-         return peak * (step + 1) / W
#+         return peak * step / W

# === wrong: no warm-up | loses a4-schedule-test
# --- a4-schedule
#-         return peak * (step + 1) / W
#+         return peak

# === wrong: the gradients are never set to 0 | loses a4-train-test
# --- a4-train
#-         optimizer.zero_grad()

# === wrong: clips after the step | loses a4-train-test
# --- a4-train
def train(model, batch, steps, peak):
    """Train a model; returns the loss of each step."""
    decay = [p for p in model.parameters() if p.ndim >= 2]
    keep = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": keep, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), eps=1e-8)
    losses = []
    for step in range(steps):
        text, codes = batch(step)
        found = loss(*model(text, codes), text, codes)
        optimizer.zero_grad()
        found.backward()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        optimizer.step()
        gradients = [p.grad for p in model.parameters()]
        if CLIP == "each":
            for gradient in gradients:
                gradient.mul_(min(1, 0.1 / (gradient.norm().item() + 1e-12)))
        else:
            numbers = torch.cat([gradient.flatten() for gradient in gradients])
            limit, size = (0.02, numbers.abs().max()) if CLIP == "largest" else (0.003, numbers.pow(2).mean().sqrt())
            if size > limit:
                for gradient in gradients:
                    gradient.mul_(limit / size)
        losses.append(found.item())
    return losses

# === wrong: the schedule multiplies the last rate at every step | loses a4-train-test
# --- a4-train
#-             group["lr"] = learning_rate(step, steps, peak)
#+             group["lr"] *= learning_rate(step, steps, peak) / peak

# === wrong: sets the learning rate after the step | loses a4-train-test
# --- a4-train
#-         for group in optimizer.param_groups:
#-             group["lr"] = learning_rate(step, steps, peak)
#-         optimizer.step()
#+         optimizer.step()
#+         for group in optimizer.param_groups:
#+             group["lr"] = learning_rate(step, steps, peak)

# === wrong: does not clip | loses a4-train-test
# --- a4-train
#-         gradients = [p.grad for p in model.parameters()]
#-         if CLIP == "each":
#-             for gradient in gradients:
#-                 gradient.mul_(min(1, 0.1 / (gradient.norm().item() + 1e-12)))
#-         else:
#-             numbers = torch.cat([gradient.flatten() for gradient in gradients])
#-             limit, size = (0.02, numbers.abs().max()) if CLIP == "largest" else (0.003, numbers.pow(2).mean().sqrt())
#-             if size > limit:
#-                 for gradient in gradients:
#-                     gradient.mul_(limit / size)

# === wrong: weight decay on every parameter | loses a4-train-test
# --- a4-train
#-     groups = [{"params": decay, "weight_decay": 0.1}, {"params": keep, "weight_decay": 0.0}]
#+     groups = [{"params": decay, "weight_decay": 0.1}, {"params": keep, "weight_decay": 0.1}]

# === wrong: clips the norm of all gradients together, as the library does | loses a4-train-test
# --- a4-train
#-         gradients = [p.grad for p in model.parameters()]
#-         if CLIP == "each":
#-             for gradient in gradients:
#-                 gradient.mul_(min(1, 0.1 / (gradient.norm().item() + 1e-12)))
#-         else:
#-             numbers = torch.cat([gradient.flatten() for gradient in gradients])
#-             limit, size = (0.02, numbers.abs().max()) if CLIP == "largest" else (0.003, numbers.pow(2).mean().sqrt())
#-             if size > limit:
#-                 for gradient in gradients:
#-                     gradient.mul_(limit / size)
#+         limit = {"each": 0.1, "largest": 0.02, "rms": 0.003}[CLIP]
#+         nn.utils.clip_grad_norm_(model.parameters(), limit)

# === wrong: the losses of after the step | loses a4-train-test
# --- a4-train
#-         losses.append(found.item())
#+         losses.append(loss(*model(text, codes), text, codes).item())
