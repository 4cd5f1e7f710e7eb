"""Inference: the one service that talks to a model (Ollama, the built-in extractive engine, scripted for tests).

Hears: Generate, Embed, DescribeEngine, those of contracts/models.py (queue inference.v1), StepsStopped, ChildDied.
Says: StepProgress; answers with Generated, Embedded, EngineDescribed, what models there are. Remembers:
generations (a call is paid for once) and who waits for them.
"""
