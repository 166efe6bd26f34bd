"""A bucket gives so many at once and so many a second, and their number is bounded."""

from middleplatform.login.buckets import Buckets


def test_bucket_gives_its_content_then_what_flows_in():
    buckets = Buckets(per_second=2, most=3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) == 0.5


def test_bucket_holds_no_more_than_it_can():
    buckets = Buckets(per_second=2, most=3)
    buckets.take("a", 0.0)
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_one_does_not_empty_the_other():
    buckets = Buckets(per_second=1, most=1)
    assert (buckets.take("a", 0.0), buckets.take("b", 0.0)) == (0, 0)


def test_clock_that_goes_back_gives_nothing():
    buckets = Buckets(per_second=1, most=1)
    assert buckets.take("a", 100.0) == 0
    assert buckets.take("a", 50.0) == 1
    assert buckets.take("a", 100.5) == 0.5


def test_charge_never_goes_below_nothing():
    buckets = Buckets(per_second=1, most=5)
    buckets.charge("a", 0.0, 100)
    assert buckets.take("a", 1.0) == 0


def test_number_of_buckets_is_bounded_and_the_used_ones_stay():
    buckets = Buckets(per_second=1, most=1, keys_max=3)
    for each in range(100):
        buckets.take(f"key{each}", 0.0)
        buckets.take("used", 0.0)
    assert len(buckets) == 3
    assert buckets.take("used", 0.0) > 0
