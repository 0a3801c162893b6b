"""What AWS refuses of Route 53: AWS's error code, and that the right call passes."""

import pytest
from botocore.exceptions import ClientError
from refusals import refused

pytestmark = pytest.mark.moto


@pytest.fixture
def zone(aws):
    zone_id = aws.route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]

    def change(action, name, kind, value, ttl=60):
        record = {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value}]}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        return aws.route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=batch)

    return change


def no_change(zone, *change, **more):
    with pytest.raises(ClientError, match="InvalidChangeBatch"):
        zone(*change, **more)


def test_a_cname_stands_alone_and_not_at_the_apex(zone):
    no_change(zone, "CREATE", "example.com", "CNAME", "other.example.org")
    zone("CREATE", "a.example.com", "A", "127.0.0.1")
    no_change(zone, "UPSERT", "a.example.com.", "CNAME", "other.example.org")
    zone("CREATE", "b.example.com", "CNAME", "other.example.org")
    no_change(zone, "CREATE", "B.example.com", "A", "127.0.0.1")
    zone("UPSERT", "b.example.com", "CNAME", "another.example.org")


def test_a_record_is_created_once_and_deleted_as_it_is(zone):
    zone("CREATE", "a.example.com", "A", "127.0.0.1")
    no_change(zone, "CREATE", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.1", ttl=61)
    zone("UPSERT", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.1")
    zone("DELETE", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.2")
    zone("CREATE", "a.example.com", "A", "127.0.0.2")


def test_an_address_is_an_address(zone):
    no_change(zone, "CREATE", "a.example.com", "A", "127.0.0.256")


def test_a_caller_reference_is_used_once(aws, zone):
    again = {"Name": "example.org", "CallerReference": "1"}
    response = refused("HostedZoneAlreadyExists", aws.route53.create_hosted_zone, **again)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 409
    aws.route53.create_hosted_zone(**again | {"CallerReference": "2"})
