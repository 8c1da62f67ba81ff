#!/bin/bash
# Train the transformer on several machines with eight GPUs each, under SLURM:
#
#     sbatch --nodes=8 launch/slurm.sh --preset paper --data 'shards/{00000..09999}.tar' --out runs/paper
#
# Options after the script are those of `minidalle train dalle`. The GPUs of a machine share one copy
# of the model (--share hsdp); machines exchange gradients. Submitted again, the job resumes from its
# last checkpoint.
#SBATCH --job-name=minidalle
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --requeue
#SBATCH --signal=INT@120
set -eu

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
out=$(printf '%s\n' "$@" | sed -n '/^--out$/{n;p}')
resume=$(test -e "$out/dalle.checkpoint/latest" && echo --resume || true)

export OMP_NUM_THREADS=8
srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node=8 --max-restarts=3 \
  --rdzv-backend=c10d --rdzv-endpoint="$head:29500" --rdzv-id="$SLURM_JOB_ID" \
  -m minidalle train dalle --share hsdp --bf16 --recompute $resume "$@"
