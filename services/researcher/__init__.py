"""The researcher: one step -> evidence (verbatim quotes of stored sources) and findings that cite it.

Hears: RunStep (queue researcher.v1), StepsStopped. Says: StepFinished, RenewStep, StepProgress, AgentAnnounced.
Asks: memory (Search, Recall), inference (Generate), planner (ClaimStep). Remembers nothing: its result's id is derived.
"""
