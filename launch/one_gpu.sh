#!/usr/bin/env bash
# Train the preset small from nothing on one GPU with 16 CPU cores beside it:
#
#     launch/one_gpu.sh runs/small        12 minutes on an H100
#
# A model that is there already is kept, so a second call goes on where the first one stopped.

set -euo pipefail

out=${1:?name the folder of the models}
mkdir -p "$out"
export OMP_NUM_THREADS=1 # the other cores paint

train() { # model, options…
    if [ ! -e "$out/$1.safetensors" ]; then
        "${PYTHON:-python3}" -m minidalle train "$@" --preset small --data world --out "$out"
    fi
}

[ -e "$out/bpe.json" ] || train bpe
train dvae --device cuda --batch-size 64 --workers 9 --steps 12000
train clip --device cuda --batch-size 256 --workers 5 --steps 4000 >"$out/clip.log" 2>&1 &
train dalle --device cuda --batch-size 256 --workers 7 --steps 9000 --bf16 --compile
wait $! || { tail -n 1 "$out/clip.log" >&2; exit 1; }
