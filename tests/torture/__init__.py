"""Torture: the whole command line, killed at any moment, fed with nonsense and damaged files.

    make torture MINUTES=30

command.py adds models of a few thousand parameters, things.py makes one of everything with them,
trial.py runs one command and judges how it ended; words.py, damage.py and kills.py think of what
might go wrong. Everything follows from a seed and the number of a trial, so each can be repeated:

    PYTHONPATH=tests python -m torture --only words --seed 0 --number 17 --verbose
"""
