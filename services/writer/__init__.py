"""The writer: the findings of all steps -> a report in which every sentence is supported by a quote; the citation gate.

Hears: RunStep (queue writer.v1), StepsStopped. Says: StepFinished (with the report), RenewStep, StepProgress,
AgentAnnounced. Asks: memory (ReadSpans), inference (Generate), planner (ClaimStep). Remembers nothing.
"""
