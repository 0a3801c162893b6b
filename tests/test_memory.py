"""Nothing is read twice within one look, and nobody who waits is told what was."""

import threading

import pytest

from runbook import storage, wait
from runbook.errors import ReadOnly
from runbook.memory import Memory

BUCKET = {"Bucket": "elastic-io-registry"}


@pytest.fixture
def asked(aws):
    """The operations that AWS was asked, in their order."""
    names = []
    aws._session.events.register_first("before-call", lambda model, **_: names.append(model.name))
    return names


@pytest.mark.moto
def test_a_read_is_made_once(aws, asked):
    view = aws.once()
    del asked[:]
    for _ in range(2):
        view.s3.list_buckets()
    assert asked == ["ListBuckets"]


@pytest.mark.moto
def test_pages_and_absence_are_remembered_too(aws, asked):
    view = aws.once()
    del asked[:]
    for _ in range(2):
        assert view.ec2.all("describe_vpcs", "Vpcs")
        assert view.s3.find("head_bucket", {"404"}, **BUCKET) is None
    assert asked == ["DescribeVpcs", "HeadBucket"]


@pytest.mark.moto
def test_what_is_given_may_be_changed(aws):
    view = aws.once()
    view.ec2.describe_vpcs()["Vpcs"].clear()
    assert view.ec2.describe_vpcs()["Vpcs"]


@pytest.mark.moto
def test_views_share_the_clients_and_the_guard(aws):
    reader = aws.read_only()
    assert reader is aws.read_only()
    first, second = reader.once(), aws.once()
    assert first.s3.meta is second.s3.meta is reader.s3.meta
    assert first.once() is first and first.read_only() is first
    with pytest.raises(ReadOnly):
        first.s3.create_bucket(**BUCKET)


@pytest.mark.moto
def test_a_connection_that_remembers_nothing_reads_each_time(aws, asked):
    aws.s3.list_buckets()
    del asked[:]
    aws.s3.list_buckets()
    aws.read_only().s3.list_buckets()
    assert asked == ["ListBuckets"] * 2


@pytest.mark.moto
def test_whoever_waits_sees_what_changes(aws, asked, monkeypatch):
    """The first look may be remembered."""
    monkeypatch.setattr(wait.time, "sleep", lambda _seconds: None)
    view = aws.once()
    view.s3.list_buckets()
    del asked[:]

    def look():
        view.s3.list_buckets()
        return (len(asked) >= 2 or None), "not yet"

    wait.wait("two more", look, timeout=5)
    assert asked == ["ListBuckets"] * 2


@pytest.mark.moto
def test_a_plan_of_one_step_reads_nothing_twice(aws, p, asked):
    view = aws.once()
    del asked[:]
    storage.verify_bucket(view, p)
    assert len(asked) == len(set(asked)) > 0


@pytest.mark.pure
def test_threads_that_ask_the_same_at_once_share_one_call():
    memory, begun, go, calls = Memory(), threading.Event(), threading.Event(), []

    def read():
        calls.append(1)
        begun.set()
        go.wait(10)
        return {"answer": 1}

    answers = []
    ask = lambda: answers.append(memory.recall("s3", "list_buckets", {}, read))  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(3)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert answers == [{"answer": 1}] * 3 and calls == [1]
