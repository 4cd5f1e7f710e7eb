"""Inference: the one service that talks to a model (Ollama, OpenAI-compatible servers, the built-in one, a script).

Hears: Generate, Embed, DescribeEngine, those of contracts/models.py (queue inference.v1), StepsStopped, ChildDied.
Says: StepProgress; answers with Generated, Embedded, EngineDescribed, what models there are. Remembers:
generations (a call is paid for once) and who waits for them.
"""
