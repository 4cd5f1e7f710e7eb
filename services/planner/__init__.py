"""The process manager of goals.

Hears: goals and questions about them, claims, results and renewals of steps, deaths of workers, dead letters.
Says: steps to agents, `goal_event` for everything that happens to a goal, one final answer to who asked.
Remembers: goals, runs, steps, leases, events, parked messages.
"""
