"""The oracle of benchmarks/scheduling is a bound: no order of the jobs beats it."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scheduling import bound


@given(
    jobs=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    speeds=st.lists(st.integers(1, 8), min_size=1, max_size=3),
)
def test_no_placement_is_done_before_the_bound(jobs: list[int], speeds: list[int]) -> None:
    def makespan(placed: tuple[int, ...]) -> float:
        pairs = list(zip(jobs, placed, strict=True))
        return max(sum(job for job, at in pairs if at == host) / speed for host, speed in enumerate(speeds))

    best = min(makespan(placed) for placed in product(range(len(speeds)), repeat=len(jobs)))
    assert bound(jobs, [float(speed) for speed in speeds]) <= best + 1e-9


def test_it_is_reached_where_jobs_fit() -> None:
    assert bound([4, 2, 1], [4.0, 2.0, 1.0]) == 1.0
    assert bound([40, 1, 1], [4.0, 2.0, 1.0]) == 10.0
