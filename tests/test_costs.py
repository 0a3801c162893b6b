"""What a deployment costs a month, and that the README says the same."""

import pytest

from runbook import costs, load, paths, plan

pytestmark = pytest.mark.pure


@pytest.fixture(params=["blog", "production"])
def each(request):
    return load(request.param)


def changed(p, **fields):
    return load({**p.model_dump(), **fields})


def row(p, what):
    return next(row for row in costs.want_costs(p).rows if row.what == what)


def test_each_row_belongs_to_a_step_and_the_total_is_their_sum(each):
    found = costs.want_costs(each)
    assert {row.thing for row in found.rows} <= {step.thing for step in plan.STEPS}
    assert found.total == pytest.approx(sum(row.dollars for row in found.rows))
    assert found.total == pytest.approx(sum(found.of(step.thing) for step in plan.STEPS))
    assert not found.unknown


def test_the_blogs_prices(p):
    found = costs.want_costs(p)
    assert row(p, "1 × t3.small").dollars == pytest.approx(17.52)
    assert row(p, "classic load balancer").dollars == pytest.approx(21.9)
    assert found.of("users") == pytest.approx(1.2)
    assert found.of("alarms") == 0
    assert found.words == "about 62 US dollars a month"


def test_what_the_params_change_changes_the_price(p, scaling):
    assert row(changed(p, nodes=3), "3 × t3.small").dollars == pytest.approx(3 * 17.52)
    assert row(changed(p, instance_type="t3.large"), "1 × t3.large").dollars == pytest.approx(4 * 17.52)
    assert costs.want_costs(changed(p, users={"one": "env:ONE"})).of("users") == pytest.approx(0.4)
    two = changed(scaling, balancer_subnets=["subnet-12345678", "subnet-87654321"])
    assert row(two, "public IPv4 addresses of the balancer").dollars == pytest.approx(7.3)
    assert costs.want_costs(changed(scaling, cache="memory")).of("cache") == 0
    assert costs.want_costs(changed(scaling, alarms=False)).of("alarms") == 0
    assert costs.want_costs(p).of("cache") == 0


@pytest.mark.parametrize(
    "fields", [{"instance_type": "m7i.large"}, {"region": "eu-west-3"}, {"cache_node_type": "cache.r7g.large"}]
)
def test_a_price_that_is_not_known_is_never_guessed(scaling, fields):
    p = changed(scaling, **fields)
    found = costs.want_costs(p)
    unknown = [row for row in found.rows if row.dollars is None]
    assert unknown
    assert found.total == pytest.approx(sum(row.dollars for row in found.rows if row.dollars is not None))
    for each in unknown:
        assert costs.UNKNOWN in each.assumption
        assert each.what in found.words
        assert found.of(each.thing) is None
    for text in (repr(found), found._repr_html_(), found.markdown()):
        assert costs.UNKNOWN in text


def test_another_region_tells_the_price_of_no_node(p):
    assert costs.another_node(changed(p, region="eu-west-3")) is None
    assert costs.another_node(p) == pytest.approx(24.0, abs=0.1)


def test_html_has_headers_and_escapes(p):
    found = costs.want_costs(p)
    html = found._repr_html_()
    assert html.count('scope="col"') == 3
    assert html.count('scope="row"') == len(found.rows)
    shown = costs.Costs("<b>", (costs.Cost("bucket", "<i>", 1.0, "&"),))._repr_html_()
    assert "<b>" not in shown and "<i>" not in shown and "&lt;i&gt;" in shown


def test_the_readme_has_these_tables(each):
    readme = (paths.PROJECT / "README.md").read_text()
    found = costs.want_costs(each)
    assert found.markdown() in readme
    assert f"{found.words} for `params/{each.source.rpartition('/')[2]}`" in " ".join(readme.split())
    assert f"about {costs.another_node(each):.0f} US dollars a month for each node more" in " ".join(readme.split())
