"""The order of the queue: fair between users, first come first served within a user, and never beyond a limit."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tune_mlp.service.line_up import Place, line_up, too_large
from tune_mlp.service.options import ServiceOptions

USERS = st.sampled_from(["ada", "bob", "cy"])


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[Place], list[Place], ServiceOptions]:
    owners = draw(st.lists(USERS, max_size=12))
    sizes = [draw(st.sampled_from([1.0, 2.0, 4.0])) for _ in owners]
    places = [Place(number, owner, size, 0.0) for number, (owner, size) in enumerate(zip(owners, sizes, strict=True))]
    running = draw(st.integers(0, min(3, len(places))))
    options = ServiceOptions(
        concurrent_studies=draw(st.integers(1, 5)),
        studies_per_user=draw(st.none() | st.integers(1, 3)),
        cpus_per_user=draw(st.none() | st.sampled_from([4.0, 8.0])),
    )
    return places[running:], places[:running], options


@settings(deadline=None)
@given(lines())
def test_every_job_has_one_place_and_no_limit_is_passed(case: tuple[list[Place], list[Place], ServiceOptions]) -> None:
    queued, running, options = case
    line = line_up(queued, running, options)
    assert sorted([*line.ready, *(job for job, _ in line.waiting)]) == [place.job for place in queued]
    begun = [place for place in queued if place.job in line.ready]
    assert not begun or len(running) + len(begun) <= options.concurrent_studies
    for owner in {place.owner for place in begun}:
        own = [place for place in (*running, *begun) if place.owner == owner]
        if options.studies_per_user is not None:
            assert len(own) <= options.studies_per_user
        if options.cpus_per_user is not None:
            assert sum(place.cpus for place in own) <= options.cpus_per_user
    assert all(why for _, why in line.waiting)


@settings(deadline=None)
@given(lines())
def test_a_users_own_jobs_begin_in_the_order_in_which_they_came(
    case: tuple[list[Place], list[Place], ServiceOptions],
) -> None:
    queued, running, options = case
    line = line_up(queued, running, options)
    order = [*line.ready, *(job for job, _ in line.waiting)]
    for owner in {place.owner for place in queued}:
        own = [place.job for place in queued if place.owner == owner]
        assert [job for job in order if job in own] == own


@settings(deadline=None)
@given(lines())
def test_no_room_is_left_free_that_a_waiting_job_may_have(
    case: tuple[list[Place], list[Place], ServiceOptions],
) -> None:
    queued, running, options = case
    line = line_up(queued, running, options)
    begun = {place.job for place in running} | set(line.ready)
    if len(begun) >= options.concurrent_studies:
        return
    for owner in {place.owner for place in queued if place.job not in begun}:
        first = next(place for place in queued if place.owner == owner and place.job not in begun)
        own = [place for place in (*running, *queued) if place.owner == owner and place.job in begun]
        studies, cpus = len(own) + 1, sum(place.cpus for place in own) + first.cpus
        assert (options.studies_per_user is not None and studies > options.studies_per_user) or (
            options.cpus_per_user is not None and cpus > options.cpus_per_user
        )


def test_a_user_with_nothing_at_work_goes_ahead_of_one_who_came_first() -> None:
    queued = [Place(number, "ada", 1.0, 0.0) for number in range(5)] + [Place(9, "bob", 1.0, 0.0)]
    options = ServiceOptions(concurrent_studies=2)
    assert line_up(queued, [], options).ready == (0, 9)
    line = line_up(queued, [Place(100, "ada", 1.0, 0.0)], options)
    assert line.ready == (9,)
    assert [job for job, _ in line.waiting] == [0, 1, 2, 3, 4]


def test_users_take_turns_however_many_studies_one_of_them_sends() -> None:
    queued = [Place(n, "ada", 1.0, 0.0) for n in range(20)] + [Place(100 + n, "bob", 1.0, 0.0) for n in range(3)]
    order = [job for job, _ in line_up(queued, [], ServiceOptions(concurrent_studies=0)).waiting]
    assert Counter(job >= 100 for job in order[:6]) == {True: 3, False: 3}


def test_a_job_that_waits_says_for_what() -> None:
    queued = [Place(1, "ada", 4.0, 0.0), Place(2, "ada", 1.0, 0.0)]
    options = ServiceOptions(concurrent_studies=5, cpus_per_user=6.0)
    line = line_up(queued, [Place(0, "ada", 4.0, 0.0)], options)
    assert line.ready == ()
    assert line.waiting[0] == (1, "waits for the limit of 6 CPU cores at once of each user")
    assert "behind another study of the same user" in line.waiting[1][1]
    assert "6 CPU cores at once, and this one asks for 8" in too_large(8.0, 0.0, options)
    assert not too_large(6.0, 0.0, options)
