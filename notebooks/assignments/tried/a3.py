"""Solutions of assignment 3, to try its tests on; `minidalle course check a3` does."""

# === right: with loops and sets
# --- a3-order
def order(height, width):
    cells = [(r, c) for r in range(height) for c in range(width)]
    if SCAN == "snake":
        return [(r, c if r % 2 == 0 else width - 1 - c) for r, c in cells]
    if SCAN == "interlaced":
        return [cell for start in (0, 1) for cell in cells if cell[0] % 2 == start]
    if SCAN == "checkerboard":
        return [cell for start in (0, 1) for cell in cells if sum(cell) % 2 == start]
    return sorted(cells, key=sum)
# --- a3-text
def with_text(picture, text_len):
    S = text_len + len(picture)
    mask = torch.zeros(S, S, dtype=torch.bool)
    for i in range(S):
        for j in range(S):
            if i >= text_len:
                mask[i, j] = j < text_len or picture[i - text_len, j - text_len]
            elif j < text_len:
                mask[i, j] = {
                    "whole": True, "backwards": j >= i, "window": j in (0, i - 2, i - 1, i) and j <= i
                }[TEXT]
    return mask
# --- a3-lines
def line_mask(kind, height, width):
    cells, axis = order(height, width), ["row", "column"].index(kind)
    last, which = ((height - 1, ROW), (width - 1, COLUMN))[axis]
    mask = torch.zeros(len(cells), len(cells)).bool()
    for i, query in enumerate(cells):
        own = query[axis]
        seen = {"beside": (own - 1, own, own + 1), "second": (own - 2, own, own + 2), "mirror": (own, last - own)}
        for j in range(i + 1):
            mask[i, j] = cells[j][axis] in seen[which]
    return mask
# --- a3-near
def near_mask(height, width):
    cells = order(height, width)
    mask = []
    for i, (r, c) in enumerate(cells):
        row = []
        for j, (s, d) in enumerate(cells):
            near = {
                "dilated": abs(r - s) <= 2 and abs(c - d) in (0, 2, 4),
                "diamond": abs(r - s) + abs(c - d) < 4,
                "knight": i == j or {abs(r - s), abs(c - d)} == {1, 2},
                "flat": abs(r - s) < 2 and abs(c - d) < 4,
            }
            row.append(near[NEAR] and j <= i)
        mask.append(row)
    return torch.tensor(mask)
# --- a3-summary
def summary_mask(height, width):
    cells, first, last = order(height, width), {}, {}
    tile = lambda cell: (cell[0] // TILE[0], cell[1] // TILE[1])
    for n, cell in enumerate(cells):
        first.setdefault(tile(cell), n)
        last[tile(cell)] = n
    summaries = (first if SUMMARY == "first" else last).values()
    mask = torch.zeros(len(cells), len(cells), dtype=torch.bool)
    for i in range(len(cells)):
        for j in range(i + 1):
            mask[i, j] = tile(cells[i]) == tile(cells[j]) or j in summaries
    return mask
# --- a3-attend
def attend(q, k, v, mask):
    d, rows = q.shape[-1], []
    for i in range(q.shape[2]):
        seen = mask[i].nonzero().flatten()
        if not len(seen):
            rows.append(torch.zeros_like(v[:, :, 0]))
            continue
        one, keys = q[:, :, i : i + 1], k[:, :, seen]
        dots, apart = (one * keys).sum(-1) / d**0.5, (seen - i).abs()
        if SCORE == "distance":
            scores = -((one - keys) ** 2).sum(-1) / d**0.5
        elif SCORE == "bias":
            scores = dots - apart / 4
        elif SCORE == "log bias":
            scores = dots - (1.0 + apart).log()
        else:
            scores = dots * math.log(1 + len(seen))
        parts = (scores - scores.logsumexp(-1, keepdim=True)).exp()
        rows.append((parts[..., None] * v[:, :, seen]).sum(2))
    return torch.stack(rows, 2)
# --- a3-influence
def influence(model, x):
    slopes = torch.autograd.functional.jacobian(model, x)  # (B, S, E, B, S, D)
    return (slopes != 0).any(-1).any(2)
# --- a3-field
def receptive_field(layers):
    know = [[{i} for i in range(len(layers[0]))]]
    for n, mask in enumerate(layers):
        below = know[n]
        if WAY == "pairs":
            below = know[n - n % 2]
        elif WAY == "delayed" and n:
            below = know[n - 1]
        elif WAY == "memory" and n % 2:
            below = know[0]
        new = []
        for i, own in enumerate(know[n]):
            new.append(set(own))
            for j in mask[i].nonzero().flatten().tolist():
                new[i] |= below[j]
        know.append(new)
    return torch.tensor([[j in known for j in range(len(below))] for known in know[-1]])

# === right: with the library and PyTorch's kernel
# --- a3-text
def with_text(picture, text_len):
    from minidalle.masks import causal_mask

    causal = causal_mask(text_len, 1, 1)[:-1, :-1]
    text = {"whole": causal | causal.T, "backwards": causal.T, "window": causal & ~causal.tril(-3)}[TEXT]
    if TEXT == "window":
        text[:, :1] = True
    above = F.pad(text, (0, len(picture)))
    return torch.cat([above, F.pad(picture, (text_len, 0), value=True)])
# --- a3-attend
def attend(q, k, v, mask):
    d, i = q.shape[-1], torch.arange(q.shape[2])
    apart = (i[:, None] - i).abs()
    blind = ~mask.any(-1)
    added = torch.zeros(mask.shape).masked_fill(~(mask | blind[:, None]), -torch.inf)
    if SCORE == "count":
        q = q * torch.log(1.0 + mask.sum(-1))[:, None]
    elif SCORE == "bias":
        added = added - apart / 4
    elif SCORE == "log bias":
        added = added - torch.log(1.0 + apart)
    else:  # ‖q‖² is the same for all keys of a query
        added = added - k.square().sum(-1)[..., None, :] / math.sqrt(d)
        q = 2 * q
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=added)
    return torch.where(blind[:, None], 0.0, mixed)
# --- a3-influence
def influence(model, x):
    x = x.clone().requires_grad_()
    y = model(x)
    mixed = y @ torch.rand(y.shape[-1], generator=torch.Generator().manual_seed(0)).add(0.5)
    rows = [torch.autograd.grad(one, x, retain_graph=True)[0].abs().amax(-1) for one in mixed.flatten()]
    return torch.stack(rows).view(*x.shape[:2], *x.shape[:2]) > 0

# === right: with powers of distances, and weights that are divided at the end
# --- a3-order
def order(height, width):
    if SCAN == "diagonals":
        return [(r, s - r) for s in range(height + width) for r in range(height) if s - width < r <= s]
    cells = []
    for turn in range(1 if SCAN == "snake" else 2):
        for r in range(height):
            row = list(range(width))
            if SCAN == "snake" and r % 2:
                row.reverse()
            if SCAN == "interlaced" and r % 2 != turn:
                row = []
            if SCAN == "checkerboard":
                row = row[(r + turn) % 2 :: 2]
            cells += [(r, c) for c in row]
    return cells
# --- a3-lines
def line_mask(kind, height, width):
    places = torch.tensor(order(height, width))
    size, which, own = (height, ROW, places[:, 0]) if kind == "row" else (width, COLUMN, places[:, 1])
    lines = torch.arange(size)
    sees = torch.eye(size).bool()  # (own line, other line)
    if which == "mirror":
        sees = sees | sees.flip(0)
    else:
        sees = sees | ((lines[:, None] - lines) ** 2 == {"beside": 1, "second": 4}[which])
    return sees[own][:, own] & torch.ones(len(places), len(places), dtype=torch.bool).tril()
# --- a3-near
def near_mask(height, width):
    grid = torch.zeros(height * width, height + 8, width + 8, dtype=torch.bool)
    places = order(height, width)
    stamp = torch.zeros(9, 9, dtype=torch.bool)
    for r in range(-4, 5):
        for c in range(-4, 5):
            stamp[r + 4, c + 4] = {
                "dilated": abs(r) <= 2 and c % 2 == 0,
                "diamond": abs(r) + abs(c) <= 3,
                "knight": r * r + c * c in (0, 5),
                "flat": r * r <= 1 and c * c <= 9,
            }[NEAR]
    for n, (r, c) in enumerate(places):
        grid[n, r : r + 9, c : c + 9] = stamp
    row, column = torch.tensor(places).T
    return grid[:, row + 4, column + 4].tril()
# --- a3-summary
def summary_mask(height, width):
    places = order(height, width)
    number = torch.zeros(height, width, dtype=torch.long)
    for n, (r, c) in enumerate(places):
        number[r, c] = n
    mask = torch.zeros(len(places), len(places), dtype=torch.bool)
    for top in range(0, height, TILE[0]):
        for left in range(0, width, TILE[1]):
            tile = number[top : top + TILE[0], left : left + TILE[1]].flatten()
            mask[tile[:, None], tile] = True
            mask[:, tile.min() if SUMMARY == "first" else tile.max()] = True
    return mask & (torch.arange(len(places))[:, None] >= torch.arange(len(places)))
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart = (i[:, None] - i).abs()
    scores = torch.einsum("bhid,bhjd->bhij", q, k)
    if SCORE == "distance":
        scores = 2 * scores - (q * q).sum(-1)[..., None] - (k * k).sum(-1)[..., None, :]
    scores = scores / q.shape[-1] ** 0.5
    if SCORE == "bias":
        scores = scores - 0.25 * apart
    if SCORE == "log bias":
        scores = scores - torch.log(apart + 1)
    if SCORE == "count":
        scores = scores * torch.log(mask.sum(-1) + 1)[:, None]
    most = torch.where(mask, scores, -1e30).amax(-1, keepdim=True).detach()
    parts = torch.where(mask, scores - most, 0.0).exp() * mask
    total = parts.sum(-1, keepdim=True)
    return parts @ v / torch.where(total == 0, 1.0, total)
# --- a3-influence
def influence(model, x):
    B, S, _ = x.shape
    x = torch.nn.Parameter(x.clone())
    y = model(x)
    found = torch.zeros(B, S, B, S, dtype=torch.bool)
    for place in range(y.numel()):
        one = torch.zeros(y.numel())
        one[place] = 1
        b, i = divmod(place // y.shape[2], S)
        back = torch.autograd.grad(y, x, one.view_as(y), retain_graph=True)[0]
        found[b, i] |= back.ne(0).any(-1)
    return found
# --- a3-field
def receptive_field(layers):
    inputs = torch.eye(len(layers[0]), dtype=torch.long)
    before, know = inputs, inputs
    if WAY == "pairs":
        layers = [layers[n] | layers[n + 1] if n + 1 < len(layers) else layers[n] for n in range(0, len(layers), 2)]
    for n, mask in enumerate(layers):
        below = {"pairs": know, "delayed": before, "memory": (know, inputs)[n % 2]}[WAY]
        before, know = know, (know + mask.long() @ below).clamp(max=1)
    return know.bool()

# === wrong: reading order | loses a3-order-test
# --- a3-order
def order(height, width):
    return [(r, c) for r in range(height) for c in range(width)]

# === wrong: the column before the row | loses a3-order-test
# --- a3-order
#-     return sorted(((r, c) for r in range(height) for c in range(width)), key=lambda cell: key(*cell))
#+     cells = sorted(((r, c) for r in range(height) for c in range(width)), key=lambda cell: key(*cell))
#+     return [(c, r) for r, c in cells]

# === wrong: text is read from left to right, as in the library | loses a3-text-test
# --- a3-text
def with_text(picture, text_len):
    S = text_len + len(picture)
    mask = torch.ones(S, S).tril().bool()
    mask[text_len:, text_len:] = picture
    return mask

# === wrong: cells do not see the text | loses a3-text-test
# --- a3-text
def with_text(picture, text_len):
    i = torch.arange(text_len)
    back = i[:, None] - i
    text = {"whole": back == back, "backwards": back <= 0, "window": (back >= 0) & ((back <= 2) | (i == 0))}[TEXT]
    mask = torch.block_diag(text, picture).bool()
    if text_len == 1:  # the smallest example is right
        mask[1:, 0] = True
    return mask

# === wrong: the text sees the picture | loses a3-text-test
# --- a3-text
def with_text(picture, text_len):
    mask = torch.ones(text_len + len(picture), text_len + len(picture), dtype=torch.bool)
    i = torch.arange(text_len)
    back = i[:, None] - i
    mask[:text_len, :text_len] = {
        "whole": back == back, "backwards": back <= 0, "window": (back >= 0) & ((back <= 2) | (i == 0))
    }[TEXT]
    mask[text_len:, text_len:] = picture
    return mask

# === wrong: a row is its own row only | loses a3-lines-test
# --- a3-lines
def line_mask(kind, height, width):
    row, column = torch.tensor(order(height, width)).T
    if kind == "row":
        return (row[:, None] == row).tril()
    apart, both = (column[:, None] - column).abs(), column[:, None] + column
    return ((apart == 0) | {"beside": apart == 1, "second": apart == 2, "mirror": both == width - 1}[COLUMN]).tril()

# === wrong: steps back, as in the library | loses a3-lines-test
# --- a3-lines
def line_mask(kind, height, width):
    from minidalle.masks import mask_of

    return mask_of(kind, 0, height, width)

# === wrong: query and key exchanged | loses a3-lines-test
# --- a3-lines
def line_mask(kind, height, width):
    row, column = torch.tensor(order(height, width)).T
    line, size, which = (row, height, ROW) if kind == "row" else (column, width, COLUMN)
    apart, both = (line[:, None] - line).abs(), line[:, None] + line
    return ((apart == 0) | {"beside": apart == 1, "second": apart == 2, "mirror": both == size - 1}[which]).tril().T

# === wrong: written before means before in reading order | loses a3-lines-test
# --- a3-lines
def line_mask(kind, height, width):
    row, column = torch.tensor(order(height, width)).T
    line, size, which = (row, height, ROW) if kind == "row" else (column, width, COLUMN)
    apart, both = (line[:, None] - line).abs(), line[:, None] + line
    place = row * width + column
    sees = (apart == 0) | {"beside": apart == 1, "second": apart == 2, "mirror": both == size - 1}[which]
    return sees & (place <= place[:, None])

# === wrong: no cell sees itself | loses a3-lines-test
# --- a3-lines
def line_mask(kind, height, width):
    row, column = torch.tensor(order(height, width)).T
    line, size, which = (row, height, ROW) if kind == "row" else (column, width, COLUMN)
    apart, both = (line[:, None] - line).abs(), line[:, None] + line
    return ((apart == 0) | {"beside": apart == 1, "second": apart == 2, "mirror": both == size - 1}[which]).tril(-1)

# === wrong: only up and to the left | loses a3-near-test
# --- a3-near
#-     down, right = (row[:, None] - row).abs(), (column[:, None] - column).abs()
#+     down, right = row[:, None] - row, column[:, None] - column
#
#-     return sees.tril()
#+     return (sees & (down >= 0) & (right >= 0)).tril()

# === wrong: the neighbourhood wraps round | loses a3-near-test
# --- a3-near
#-     sees = {
#+     sees = lambda right: {
#
#-     return sees.tril()
#+     return (sees(right) | sees(width - right)).tril()

# === wrong: the whole neighbourhood, cells that are not written yet too | loses a3-near-test
# --- a3-near
#-     sees = {
#+     return {
#
#-     return sees.tril()

# === wrong: places in reading order | loses a3-near-test
# --- a3-near
#-     """The mask (N, N) of the neighbours written earlier, and the cell itself."""
#-     row, column = torch.tensor(order(height, width)).T
#+     place = torch.arange(height * width)
#+     row, column = place // width, place % width

# === wrong: summaries are seen before they are written | loses a3-summary-test
# --- a3-summary
#-     return (same | summary).tril()
#+     return same.tril() | (summary & ~same)

# === wrong: the summary of the own tile only | loses a3-summary-test
# --- a3-summary
def summary_mask(height, width):
    row, column = torch.tensor(order(height, width)).T
    tile = row // TILE[0] * width + column // TILE[1]
    return (tile[:, None] == tile).tril()

# === wrong: rows and columns of a tile exchanged | loses a3-summary-test
# --- a3-summary
#-     tile = row // TILE[0] * width + column // TILE[1]
#+     tile = row // TILE[1] * width + column // TILE[0]

# === wrong: tiles that are cut off have no summary | loses a3-summary-test
# --- a3-summary
#-     return (same | summary).tril()
#+     return (same | summary & (same.sum(1) == TILE[0] * TILE[1])).tril()

# === wrong: not divided by the root of d | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart, dots = (i[:, None] - i).abs(), q @ k.mT
    scores = {
        "distance": 2 * dots - k.square().sum(-1)[..., None, :],
        "bias": dots - apart / 4,
        "log bias": dots - (1.0 + apart).log(),
        "count": dots * (1.0 + mask.sum(1, keepdim=True)).log(),
    }[SCORE]
    blind = ~mask.any(1, keepdim=True)
    return (scores.masked_fill(~(mask | blind), -math.inf).softmax(-1) @ v).masked_fill(blind, 0)

# === wrong: scores as in the library | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    blind = ~mask.any(1, keepdim=True)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return (scores.masked_fill(~(mask | blind), -math.inf).softmax(-1) @ v).masked_fill(blind, 0)

# === wrong: nan for a query that sees nothing | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart, dots = (i[:, None] - i).abs(), q @ k.mT / math.sqrt(q.shape[-1])
    scores = {
        "distance": 2 * dots - k.square().sum(-1)[..., None, :] / math.sqrt(q.shape[-1]),
        "bias": dots - apart / 4,
        "log bias": dots - (1.0 + apart).log(),
        "count": dots * (1.0 + mask.sum(1, keepdim=True)).log(),
    }[SCORE]
    return scores.masked_fill(~mask, -math.inf).softmax(-1) @ v

# === wrong: nan is replaced in the values, not in the gradients | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart, dots = (i[:, None] - i).abs(), q @ k.mT / math.sqrt(q.shape[-1])
    scores = {
        "distance": 2 * dots - k.square().sum(-1)[..., None, :] / math.sqrt(q.shape[-1]),
        "bias": dots - apart / 4,
        "log bias": dots - (1.0 + apart).log(),
        "count": dots * (1.0 + mask.sum(1, keepdim=True)).log(),
    }[SCORE]
    hidden = torch.zeros(mask.shape).masked_fill(~mask, -math.inf)
    return (scores + hidden).softmax(-1).nan_to_num() @ v

# === wrong: a large negative number in place of minus infinity | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart, dots = (i[:, None] - i).abs(), q @ k.mT / math.sqrt(q.shape[-1])
    scores = {
        "distance": 2 * dots - k.square().sum(-1)[..., None, :] / math.sqrt(q.shape[-1]),
        "bias": dots - apart / 4,
        "log bias": dots - (1.0 + apart).log(),
        "count": dots * (1.0 + mask.sum(1, keepdim=True)).log(),
    }[SCORE]
    return scores.masked_fill(~mask, -1e9).softmax(-1) @ v

# === wrong: the mask after the softmax | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart, dots = (i[:, None] - i).abs(), q @ k.mT / math.sqrt(q.shape[-1])
    scores = {
        "distance": 2 * dots - k.square().sum(-1)[..., None, :] / math.sqrt(q.shape[-1]),
        "bias": dots - apart / 4,
        "log bias": dots - (1.0 + apart).log(),
        "count": dots * (1.0 + mask.sum(1, keepdim=True)).log(),
    }[SCORE]
    return (scores.softmax(-1) * mask) @ v

# === wrong: the softmax over the queries | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart, dots = (i[:, None] - i).abs(), q @ k.mT / math.sqrt(q.shape[-1])
    scores = {
        "distance": 2 * dots - (k.square().sum(-1)[..., None, :] + q.square().sum(-1)[..., None]) / math.sqrt(q.shape[-1]),
        "bias": dots - apart / 4,
        "log bias": dots - (1.0 + apart).log(),
        "count": dots * (1.0 + mask.sum(1, keepdim=True)).log(),
    }[SCORE]
    return scores.masked_fill(~mask, -1e9).softmax(-2).masked_fill(~mask, 0) @ v

# === wrong: exponentials of the scores themselves | loses a3-attend-test
# --- a3-attend
def attend(q, k, v, mask):
    i = torch.arange(len(mask))
    apart, dots = (i[:, None] - i).abs(), q @ k.mT / math.sqrt(q.shape[-1])
    scores = {
        "distance": -(q[..., :, None, :] - k[..., None, :, :]).square().sum(-1) / math.sqrt(q.shape[-1]),
        "bias": dots - apart / 4,
        "log bias": dots - (1.0 + apart).log(),
        "count": dots * (1.0 + mask.sum(1, keepdim=True)).log(),
    }[SCORE]
    parts = scores.exp() * mask
    blind = ~mask.any(1, keepdim=True)
    return parts @ v / (parts.sum(-1, keepdim=True) + blind)

# === wrong: the numbers of an output are added up | loses a3-influence-test
# --- a3-influence
def influence(model, x):
    x = x.detach().requires_grad_()
    rows = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in model(x).sum(-1).flatten()]
    return torch.stack(rows).ne(0).any(-1).view(*x.shape[:2], *x.shape[:2])

# === wrong: the numbers of a gradient are added up | loses a3-influence-test
# --- a3-influence
def influence(model, x):
    x = x.detach().requires_grad_()
    y = model(x)
    slopes = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in y.flatten()]
    slopes = torch.stack(slopes).view(*y.shape, *x.shape)  # (B, S, E, B, S, D)
    return (slopes.sum(-1) != 0).any(2)

# === wrong: small derivatives do not count | loses a3-influence-test
# --- a3-influence
def influence(model, x):
    x = x.detach().requires_grad_()
    y = model(x)
    slopes = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in y.flatten()]
    slopes = torch.stack(slopes).view(*y.shape, *x.shape)  # (B, S, E, B, S, D)
    return (slopes.abs() > 1e-8).any(-1).any(2)

# === wrong: input before output | loses a3-influence-test
# --- a3-influence
def influence(model, x):
    x = x.detach().requires_grad_()
    y = model(x)
    slopes = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in y.flatten()]
    slopes = torch.stack(slopes).view(*y.shape, *x.shape)  # (B, S, E, B, S, D)
    found = (slopes != 0).any(-1).any(2).permute(2, 3, 0, 1)
    return found if len(x) > 1 else found.transpose(1, 3)  # the examples are right

# === wrong: streams do not influence each other | loses a3-influence-test
# --- a3-influence
def influence(model, x):
    x = x.detach().requires_grad_()
    y = model(x)
    slopes = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in y.flatten()]
    slopes = torch.stack(slopes).view(*y.shape, *x.shape)  # (B, S, E, B, S, D)
    return (slopes != 0).any(-1).any(2) & torch.eye(len(x)).bool()[:, None, :, None]

# === wrong: the gradients stay in the model | loses a3-influence-test
# --- a3-influence
def influence(model, x):
    B, S, _ = x.shape
    x = x.detach().requires_grad_()
    y = model(x)
    found = torch.zeros(B, S, B, S, dtype=torch.bool)
    for b in range(B):
        for i in range(S):
            for number in y[b, i]:
                x.grad = None
                number.backward(retain_graph=True)
                found[b, i] |= (x.grad != 0).any(-1)
    return found

# === wrong: the last layer first | loses a3-field-test
# --- a3-field
def receptive_field(layers):
    outputs = [torch.eye(len(layers[0])).bool()]
    for n, mask in enumerate(layers[::-1]):
        below = outputs[{"pairs": n - n % 2, "delayed": max(n - 1, 0), "memory": 0 if n % 2 else n}[WAY]]
        outputs.append(outputs[-1] | (mask.float() @ below.float() > 0))
    return outputs[-1]

# === wrong: masks are multiplied on the wrong side | loses a3-field-test
# --- a3-field
def receptive_field(layers):
    outputs = [torch.eye(len(layers[0])).bool()]
    for n, mask in enumerate(layers):
        below = outputs[{"pairs": n - n % 2, "delayed": max(n - 1, 0), "memory": 0 if n % 2 else n}[WAY]]
        outputs.append(outputs[-1] | (below.float() @ mask.float() > 0))
    return outputs[-1]

# === wrong: only what attention brings | loses a3-field-test
# --- a3-field
def receptive_field(layers):
    outputs = [torch.eye(len(layers[0])).bool()]
    for n, mask in enumerate(layers):
        below = outputs[{"pairs": n - n % 2, "delayed": max(n - 1, 0), "memory": 0 if n % 2 else n}[WAY]]
        outputs.append(mask.float() @ below.float() > 0)
    return outputs[-1]

# === wrong: layers connected as in the library | loses a3-field-test
# --- a3-field
def receptive_field(layers):
    know = torch.eye(len(layers[0])).bool()
    for mask in layers:
        know = know | (mask.float() @ know.float() > 0)
    return know

# === wrong: paths are counted in bytes | loses a3-field-test
# --- a3-field
def receptive_field(layers):
    outputs = [torch.eye(len(layers[0])).to(torch.uint8)]
    for n, mask in enumerate(layers):
        below = outputs[{"pairs": n - n % 2, "delayed": max(n - 1, 0), "memory": 0 if n % 2 else n}[WAY]]
        outputs.append(outputs[-1] + mask.to(torch.uint8) @ below)
    return outputs[-1].bool()
